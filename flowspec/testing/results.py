"""How tests went."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from flowspec.testing.comparing import difference, expected_of, seen_of
from flowspec.testing.running import run_test
from flowspec.testing.suite import Case

__all__ = ["Result", "result_of"]


@dataclass(frozen=True)
class Result:
    """How a test went."""

    case: Case
    seen: dict[str, Any]
    """What was seen of that which is compared."""
    difference: list[str]
    """The lines of a unified diff of what is expected and what was seen; none where they are equal."""
    notes: list[str]
    """What else may explain a difference."""
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether there is a difference."""
        return bool(self.difference)

    @property
    def to_be_expected(self) -> dict[str, Any]:
        """What the test has to expect to be right."""
        return {**self.seen, "in_any_order": True} if self.case.test.expect.in_any_order else self.seen


def result_of(case: Case) -> Result:
    """Run a test.

    Raises:
        MissingDependencyError: a step needs a package that is not installed.
    """
    began = time.perf_counter()
    expect = case.test.expect
    outcome = run_test(case.spec, case.test)
    seen = seen_of(outcome, expect)
    notes = [] if "dead_letters" in seen else [f"dead letter: {letter}" for letter in outcome.dead_letters]
    return Result(case, seen, difference(expected_of(expect), seen), notes, time.perf_counter() - began)
