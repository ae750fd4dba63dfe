"""The conformance suite of a sink: one test for each case, on a real system."""
# ruff: noqa: S101 - tests are made of assertions

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from flowspec import loads, registry
from flowspec.errors import FlowError
from sinks.testing.enduring import Enduring
from sinks.testing.harness import SinkHarness
from sinks.testing.writing import Writing
from sources.testing.lab import Lab
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

    def test_35_connection_check(self, harness: SinkHarness, lab: Lab) -> None:
        """Connection check: says what it found of a good place, names the place for one that does not exist."""

        def check(sink: dict[str, Any]) -> str:
            return loads(json.dumps(lab.spec(lab.source(), sink=sink))).sinks[0].check()

        said = check(harness.action())
        if harness.offers("missing"):
            assert said, "what was found"
            with pytest.raises(FlowError, match="missing"):
                check(harness.missing())
