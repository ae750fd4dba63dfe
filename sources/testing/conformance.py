"""The conformance suite of a trigger: one test for each case, on a real system."""

from __future__ import annotations

from typing import ClassVar

from flowspec import registry
from flowspec.connectors import Account
from sources.testing.arriving import Arriving
from sources.testing.cases import not_built_yet
from sources.testing.failing import Failing
from sources.testing.killing import Killing
from sources.testing.models import check_mistakes, check_model
from sources.testing.outages import Outages

__all__ = ["TriggerConformance"]


class TriggerConformance(Arriving, Failing, Outages, Killing):
    """All cases of a trigger; a subclass for pytest says of which, and on what system."""

    trigger: ClassVar[str]
    """Its name in the registry, `connector.event`."""

    @not_built_yet("windows", lambda: any("window" in kind for kind in registry.steps()))
    def test_32_windows(self) -> None:
        """Windows: late, out of order, restarted in the middle: equal to one golden answer."""

    @not_built_yet("steps that drop duplicates", lambda: any("dedup" in kind for kind in registry.steps()))
    def test_33_dedupe(self) -> None:
        """Dedupe across a restart and across a failed sink: no loss."""

    def test_34_spec(self) -> None:
        """Every field has description, default and example; an unknown key names its path and the nearest name."""
        model = registry.trigger(*self.trigger.split("."))
        check_model(model)
        check_mistakes(model, "trigger")

    @not_built_yet("checks of a connection", lambda: hasattr(Account, "check"))
    def test_35_connection_check(self) -> None:
        """Connection check: says yes for a good account, names the fault for a bad one."""
