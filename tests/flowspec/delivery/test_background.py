from __future__ import annotations

import threading

import pytest

from flowspec.delivery import background
from flowspec.delivery.background import Background
from flowspec.delivery.backoff import Backoff
from flowspec.delivery.health import Health
from flowspec.errors import FatalError, TransientError

LONG = 10.0


@pytest.fixture(autouse=True)
def short_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "Backoff", lambda: Backoff(first=0.001, most=0.002))


class Threads:
    """A background whose failures can be waited for."""

    def __init__(self) -> None:
        self.health = Health("trigger")
        self.stopping = threading.Event()
        self.failed = threading.Event()
        self.errors: list[Exception] = []
        self.background = Background("test", self.health, self._failed)

    def _failed(self, error: Exception) -> None:
        self.errors.append(error)
        self.failed.set()


def test_a_piece_is_repeated_until_stopped() -> None:
    threads = Threads()
    enough = threading.Event()
    calls = []

    def piece() -> None:
        calls.append(threading.current_thread().name)
        if len(calls) == 100:
            enough.set()

    threads.background.start(piece, threads.stopping, "receiver-0")
    assert enough.wait(LONG)
    threads.stopping.set()

    assert threads.background.join(LONG)
    assert set(calls) == {"test-receiver-0"}
    assert len(calls) >= 100
    assert not threads.errors


def test_a_transient_error_is_reported_and_tried_again() -> None:
    threads = Threads()
    calls = 0

    def piece() -> None:
        nonlocal calls
        calls += 1
        if calls <= 5:
            msg = f"refused {calls}"
            raise TransientError(msg)
        threads.stopping.set()

    threads.background.start(piece, threads.stopping, "receiver")

    assert threads.background.join(LONG)
    assert calls == 6
    assert threads.health.retries == 5
    assert (threads.health.state, threads.health.reason) == ("down", "refused 5")
    assert not threads.errors


def test_a_stop_ends_the_wait_of_a_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "Backoff", lambda: Backoff(first=3600.0, most=3600.0))
    threads = Threads()
    tried = threading.Event()

    def piece() -> None:
        tried.set()
        msg = "refused"
        raise TransientError(msg)

    threads.background.start(piece, threads.stopping, "receiver")
    assert tried.wait(LONG)
    threads.stopping.set()

    assert threads.background.join(LONG)


@pytest.mark.parametrize("error", [FatalError("no such queue"), ZeroDivisionError("a bug")])
def test_any_other_error_ends_the_thread_and_is_handed_over(error: Exception) -> None:
    threads = Threads()
    calls = []

    def piece() -> None:
        calls.append(1)
        raise error

    threads.background.start(piece, threads.stopping, "receiver")

    assert threads.background.join(LONG)
    assert threads.errors == [error]
    assert len(calls) == 1


def test_a_bug_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    threads = Threads()

    def piece() -> None:
        msg = "a bug"
        raise ZeroDivisionError(msg)

    threads.background.start(piece, threads.stopping, "receiver")

    assert threads.background.join(LONG)
    (record,) = caplog.records
    assert record.getMessage() == "test-receiver: unexpected error"
    assert record.exc_info is not None


def test_join_says_whether_all_threads_ended() -> None:
    threads = Threads()
    inside, go_on = threading.Event(), threading.Event()

    def piece() -> None:
        inside.set()
        go_on.wait(LONG)

    threads.background.start(piece, threads.stopping, "slow")
    assert inside.wait(LONG)
    threads.stopping.set()

    assert not threads.background.join(0.01)
    go_on.set()
    assert threads.background.join(LONG)


def test_threads_do_not_hold_up_the_end_of_the_process() -> None:
    threads = Threads()
    daemons = []

    def piece() -> None:
        daemons.append(threading.current_thread().daemon)
        threads.stopping.set()

    threads.background.start(piece, threads.stopping, "receiver")

    assert threads.background.join(LONG)
    assert daemons == [True]
