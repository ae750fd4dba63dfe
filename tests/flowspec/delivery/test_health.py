from __future__ import annotations

import logging
import threading

import pytest

from flowspec.delivery.health import Health


@pytest.fixture(autouse=True)
def all_levels(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


def test_starts_unknown_and_the_first_up_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("trigger")
    assert (health.state, health.reason, health.retries) == ("starting", None, 0)
    health.up()
    assert health.state == "up"
    assert not caplog.records


def test_one_line_down_and_one_line_back(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("billing")
    for attempt in range(5):
        health.down(ConnectionError(f"refused {attempt}"))
    assert (health.state, health.reason, health.retries) == ("down", "refused 4", 5)
    for _ in range(5):
        health.up()
    assert (health.state, health.reason, health.retries) == ("up", None, 5)

    down, back = caplog.records
    assert down.getMessage() == "billing is down and is tried again: refused 0"
    assert down.levelno == logging.WARNING
    assert back.getMessage().startswith("billing is back after ")
    assert back.levelno == logging.INFO


def test_since_is_when_the_state_began() -> None:
    health = Health("trigger")
    health.down(ConnectionError("refused"))
    began = health.since
    health.down(ConnectionError("refused again"))
    assert health.since == began
    health.up()
    assert health.since >= began


def test_one_line_from_many_threads(caplog: pytest.LogCaptureFixture) -> None:
    health = Health("trigger")
    together = threading.Barrier(8)

    def report() -> None:
        together.wait()
        for _ in range(200):
            health.down(ConnectionError("refused"))

    threads = [threading.Thread(target=report) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(caplog.records) == 1
    assert health.retries == 1600
