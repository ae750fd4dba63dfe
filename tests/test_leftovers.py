"""What is left behind is found."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from tests import leftovers
from tests.leftovers import Leftovers, Servers


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_PATIENCE", 0.1)


def test_a_process_is_named_and_killed() -> None:
    before = Leftovers(Servers())
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])

    (found,) = before.end()

    assert found == f"process {process.pid}: {sys.executable} -c import time; time.sleep(600)"
    assert process.wait() == -9


def test_a_thread_that_keeps_the_interpreter_is_named() -> None:
    before = Leftovers(Servers())
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait, name="forgotten")
    daemon = threading.Thread(target=go_on.wait, daemon=True)
    thread.start()
    daemon.start()

    found = before.end()

    go_on.set()
    thread.join()
    daemon.join()
    assert found == ["thread forgotten"]
    assert before.end() == []
