"""The conformance suite of a trigger: one test for each case, on a real system."""
# ruff: noqa: S101 - tests are made of assertions

from __future__ import annotations

import json
from typing import Any, ClassVar

import pytest

from flowspec import loads, registry
from flowspec.errors import FlowError
from sources.testing.arriving import Arriving
from sources.testing.failing import Failing
from sources.testing.harness import TriggerHarness
from sources.testing.killing import Killing
from sources.testing.lab import Lab
from sources.testing.models import check_mistakes, check_model
from sources.testing.outages import Outages
from sources.testing.remembering import Remembering

__all__ = ["TriggerConformance"]


class TriggerConformance(Arriving, Failing, Outages, Killing, Remembering):
    """All cases of a trigger; a subclass for pytest says of which, and on what system."""

    trigger: ClassVar[str]
    """Its name in the registry, `connector.event`."""

    def test_34_spec(self) -> None:
        """Every field has description, default and example; an unknown key names its path and the nearest name."""
        model = registry.trigger(*self.trigger.split("."))
        check_model(model)
        check_mistakes(model, "trigger")

    def test_35_connection_check(self, harness: TriggerHarness, lab: Lab) -> None:
        """Connection check: says what it found of a good place, names the place for one that does not exist."""

        def check(trigger: dict[str, Any]) -> str:
            return loads(json.dumps(lab.spec(trigger))).trigger.check()

        said = check(harness.trigger())
        if harness.offers("missing"):
            assert said, "what was found"
            with pytest.raises(FlowError, match="missing"):
                check(harness.missing())
