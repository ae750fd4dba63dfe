from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from flowspec.errors import FatalError, TransientError
from flowspec.loading import Problem, SpecError
from pipelines.accounts.checking import Check, Result, run_checks
from tests.pipelines.flows import PATIENCE


def raising(error: Exception) -> Callable[[], str]:
    def check() -> str:
        raise error

    return check


def test_each_check_has_its_result_in_order() -> None:
    spec_error = SpecError([Problem("a", "b", 1, 1, "wrong"), Problem("a", "c", 2, 1, "wrong too")])
    assert run_checks(
        [
            Check("a", lambda: "found"),
            Check("b", lambda: ""),
            Check("c", raising(TransientError("down"))),
            Check("d", raising(FatalError("denied"))),
            Check("e", raising(spec_error)),
            Check("f", raising(KeyError("x"))),
        ]
    ) == [
        Result("a", True, "found"),
        Result("b", True, ""),
        Result("c", False, "down"),
        Result("d", False, "denied"),
        Result("e", False, "a:1: b: wrong\na:2: c: wrong too"),
        Result("f", False, "the check itself failed: KeyError: 'x'"),
    ]


def test_checks_run_side_by_side() -> None:
    meeting = threading.Barrier(3)

    def check() -> str:
        meeting.wait(PATIENCE)
        return "met"

    assert [result.said for result in run_checks([Check(name, check) for name in "abc"], PATIENCE)] == ["met"] * 3


def test_one_that_hangs_is_given_up() -> None:
    ending = threading.Event()

    def check() -> str:
        ending.wait()
        return "late"

    try:
        results = run_checks([Check("a", check), Check("b", lambda: "found")], 0.5)
    finally:
        ending.set()
    assert results == [Result("a", False, "no answer within 0.5 seconds"), Result("b", True, "found")]


def test_nothing_to_check() -> None:
    assert run_checks([]) == []


@pytest.mark.parametrize("count", [1, 40])
def test_any_number_of_checks(count: int) -> None:
    results = run_checks([Check(str(number), lambda: "found") for number in range(count)], PATIENCE)
    assert [result.name for result in results] == [str(number) for number in range(count)]
