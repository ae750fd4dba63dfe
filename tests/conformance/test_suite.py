"""The suite is what it says: another package can run it, what is wrong fails it, and so does a needless waiver."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sources.testing.flows import ENVIRONMENT

PACKAGE = Path(__file__).with_name("third_party.py")


def run(directory: Path, cases: str) -> dict[str, set[str]]:
    """Run cases in a package that has nothing of ours but what is installed; answers the names by outcome."""
    shutil.copy(PACKAGE, directory / "test_third_party.py")
    (directory / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", cases, "test_third_party.py"]
    said = subprocess.run(command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, check=False).stdout
    outcomes: dict[str, set[str]] = {}
    for name, outcome in re.findall(r"::test_(\S+) (PASSED|FAILED|SKIPPED|XFAIL|ERROR)", said):
        outcomes.setdefault(outcome, set()).add(name)
    return outcomes


def test_another_package_runs_the_suite(tmp_path: Path) -> None:
    outcomes = run(tmp_path, "TestReadLines and not test_22 and not test_30")

    assert set(outcomes) == {"PASSED", "SKIPPED", "XFAIL"}
    assert outcomes["XFAIL"] == {"03_metadata_arrives", "04_metadata_filter", "09_a_batch_by_count"}
    assert {"24_slower_than_the_timeout", "36_trigger_error"} <= outcomes["SKIPPED"]
    assert len(outcomes["PASSED"]) >= 15


@pytest.mark.parametrize("case", ["14", "15"])
def test_a_trigger_that_commits_too_early_fails(tmp_path: Path, case: str) -> None:
    outcomes = run(tmp_path, f"TestReadEagerly and test_{case}")
    assert set(outcomes) == {"FAILED"}


def test_a_waiver_that_is_not_needed_fails(tmp_path: Path) -> None:
    outcomes = run(tmp_path, "TestReadEagerly and test_01")
    assert outcomes == {"FAILED": {"01_open_and_close"}}
