"""Checking whether accounts can be used, and what a flow does with them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from flowspec.errors import FlowError
from flowspec.loading import SpecError

__all__ = ["Check", "Result", "run_checks"]

_TIMEOUT = 15.0
"""Seconds; a check takes ten at most, and all of them run at the same time."""


@dataclass(frozen=True)
class Check:
    """Something to be checked."""

    name: str
    run: Callable[[], str]
    """Says what was found, or raises what is wrong."""


@dataclass(frozen=True)
class Result:
    """What came of a check."""

    name: str
    is_ok: bool
    said: str
    """What was found, which may be nothing, or what is wrong."""


def run_checks(checks: Sequence[Check], timeout: float = _TIMEOUT) -> list[Result]:
    """Run checks side by side; one that does not end in time is given up."""
    results: dict[int, Result] = {}

    def run(place: int, check: Check) -> None:
        results[place] = _result(check)

    threads = [
        # What hangs must not keep the command from its end.
        threading.Thread(target=run, args=(place, check), name=f"check {check.name}", daemon=True)
        for place, check in enumerate(checks)
    ]
    until = time.monotonic() + timeout
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    late = f"no answer within {timeout:g} seconds"
    return [results.get(place) or Result(check.name, False, late) for place, check in enumerate(checks)]


def _result(check: Check) -> Result:
    try:
        return Result(check.name, True, check.run())
    except SpecError as error:
        return Result(check.name, False, "\n".join(map(str, error.problems)))
    except FlowError as error:
        return Result(check.name, False, str(error))
    except Exception as error:  # noqa: BLE001 - a mistake of a connector keeps the others from nothing
        return Result(check.name, False, f"the check itself failed: {type(error).__name__}: {error}")
