"""The conformance suite of a sink: one test for each case, on a real system."""

from __future__ import annotations

from typing import ClassVar

from flowspec import registry
from flowspec.connectors import Account
from sinks.testing.enduring import Enduring
from sinks.testing.writing import Writing
from sources.testing.cases import not_built_yet
from sources.testing.models import check_mistakes, check_model

__all__ = ["SinkConformance"]


class SinkConformance(Writing, Enduring):
    """All cases of a sink; a subclass for pytest says of which, and on what system."""

    action: ClassVar[str]
    """Its name in the registry, `connector.action`."""

    def test_34_spec(self) -> None:
        """Every field has description, default and example; an unknown key names its path and the nearest name."""
        model = registry.action(*self.action.split("."))
        check_model(model)
        check_mistakes(model, "sink")

    @not_built_yet("checks of a connection", lambda: hasattr(Account, "check"))
    def test_35_connection_check(self) -> None:
        """Connection check: says yes for a good account, names the fault for a bad one."""
