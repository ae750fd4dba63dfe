"""No connector is forgotten, no waiver is left over, and the page says what is so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from sources.testing.cases import Conformance
from tests.conformance.__main__ import name_of, suites

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
SUITES = [*suites(TriggerConformance), *suites(SinkConformance)]


def test_every_connector_is_held_to_the_cases_and_the_page_says_how() -> None:
    # In a process of its own: other tests register connectors in this one.
    command = [sys.executable, "-m", "tests.conformance"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stderr
    assert PAGE.read_text() == run.stdout, "python -m tests.conformance > docs/conformance.md"


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: f"{name_of(suite)} on {suite.system}")
def test_waivers_are_of_cases_that_there_are(suite: type[Conformance]) -> None:
    assert set(suite.waivers) <= {case.number for case in suite.cases()}
