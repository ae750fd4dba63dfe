"""The demonstration as a newcomer runs it."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowspec.deadletters.store import LetterStore
from tests.pipelines.commands import pipelines
from tests.pipelines.flows import ENVIRONMENT, PATIENCE, eventually

ROOT = Path(__file__).parents[3]
COUNT = re.compile(r"^(sent|delivered|filtered|dead letters|left in the queue) +(\d+)", re.MULTILINE)


def books(text: str) -> dict[str, int]:
    return {name: int(count) for name, count in COUNT.findall(text)}


def session(directory: Path) -> list[str]:
    """The command lines of the processes that work in a directory."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("cwd").readlink() == directory:
                found.append(process.joinpath("cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # It ended meanwhile.
    return found


def test_the_example_is_what_the_demonstration_runs() -> None:
    assert (ROOT / "examples" / "orders.json").read_text() == (ROOT / "pipelines" / "demo" / "orders.json").read_text()


def test_its_books_balance_and_the_files_agree(tmp_path: Path) -> None:
    shown = pipelines(tmp_path, "demo", "--seconds", "4", "--rate", "200")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    counts = books(shown.stdout)
    assert counts["left in the queue"] == 0
    assert counts["sent"] == counts["delivered"] + counts["filtered"] + counts["dead letters"]
    assert min(counts["delivered"], counts["filtered"], counts["dead letters"]) > 0
    delivered = (tmp_path / ".pipelines" / "demo" / "paid-orders.jsonl").read_text().splitlines()
    assert len(delivered) == counts["delivered"]
    assert set(json.loads(delivered[0])) == {"id", "cents", "customer"}
    letters = LetterStore("paid-orders", tmp_path / ".pipelines" / "demo")
    assert len(letters.envelopes()) == counts["dead letters"]
    assert session(tmp_path) == []


@pytest.fixture
def demonstration(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """One that would go on for long, in which records are moving."""
    command = [sys.executable, "-m", "pipelines", "demo", "--seconds", "600"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        output = tmp_path / ".pipelines" / "demo" / "paid-orders.jsonl"
        eventually(
            lambda: process.poll() is not None or (output.exists() and output.stat().st_size > 0), "records are moving"
        )
        assert process.poll() is None, process.communicate()[0]
        yield process
        process.kill()


def test_ctrl_c_ends_it_early_with_balanced_books(demonstration: subprocess.Popen[str], tmp_path: Path) -> None:
    demonstration.send_signal(signal.SIGINT)
    shown, _ = demonstration.communicate(timeout=PATIENCE)

    assert demonstration.returncode == 0, shown
    counts = books(shown)
    assert counts["left in the queue"] == 0
    assert counts["sent"] == counts["delivered"] + counts["filtered"] + counts["dead letters"]
    assert session(tmp_path) == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["kill -9", "kill"])
def test_killed_it_leaves_nothing_running(
    demonstration: subprocess.Popen[str], tmp_path: Path, how: signal.Signals
) -> None:
    demonstration.send_signal(how)

    eventually(lambda: session(tmp_path) == [], "the flow and the server end")
