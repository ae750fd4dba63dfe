"""When a run is started again, and what is said in the end."""

from __future__ import annotations

import pytest

from flowspec.errors import FlowError
from pipelines.restarts import RestartPolicy, Restarts


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def restarts(policy: str) -> tuple[Restarts, Clock]:
    clock = Clock()
    return Restarts(RestartPolicy.parse(policy), clock), clock


@pytest.mark.parametrize(
    ("text", "most"), [("no", 0), ("on-failure", None), ("on-failure:1", 1), ("on-failure:20", 20)]
)
def test_policies(text: str, most: int | None) -> None:
    assert RestartPolicy.parse(text) == RestartPolicy(most)


@pytest.mark.parametrize("text", ["", "always", "on-failure:", "on-failure:0", "on-failure:-1", "on-failure:x", "no:3"])
def test_what_is_no_policy_is_said_with_what_is_one(text: str) -> None:
    with pytest.raises(FlowError, match="write no, on-failure, or on-failure:5"):
        RestartPolicy.parse(text)


def test_without_restarts_the_first_error_is_all_that_is_said() -> None:
    run, _ = restarts("no")
    assert not run.allowed
    assert run.after("it broke") is None
    assert run.given_up == "it broke"
    assert run.count == 0


def test_delays_double_up_to_a_minute_each_cut_at_random() -> None:
    run, _ = restarts("on-failure")
    whole = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    for longest in whole:
        delay = run.after("it broke")
        assert delay is not None
        assert longest / 2 <= delay <= longest
    assert run.count == len(whole)


def test_the_first_error_of_a_row_is_kept() -> None:
    run, _ = restarts("on-failure:2")
    for reason in ("no such queue", "killed"):
        run.begin()
        assert run.after(reason) is not None
    assert run.which == "restart 2 of 2"
    assert run.after("killed again") is None
    assert run.given_up == "no such queue (given up after 2 restarts; at last: killed again)"
    assert run.last is not None
    assert run.last.reason == "killed again"


def test_the_same_error_is_said_once() -> None:
    run, _ = restarts("on-failure:1")
    run.after("no such queue")
    run.after("no such queue")
    assert run.given_up == "no such queue (given up after 1 restart)"


def test_a_stop_before_a_restart_says_why_there_was_to_be_one() -> None:
    run, _ = restarts("on-failure")
    run.after("no such queue")
    run.after("killed")
    assert run.which == "restart 2"
    assert run.stopped == "no such queue (stopped before restart 2; at last: killed)"


def test_a_good_run_makes_up_for_earlier_failures() -> None:
    run, clock = restarts("on-failure:1")
    run.begin()
    assert run.after("first") is not None
    run.begin()
    clock.now += 59
    assert run.after("too early") is None

    clock.now += 61
    delay = run.after("later")
    assert delay is not None
    assert delay <= 1.0, "the delays begin anew as well"
    assert run.count == 2, "all are counted"
    run.begin()
    assert run.after("at once") is None
    assert run.given_up == "later (given up after 1 restart; at last: at once)"
