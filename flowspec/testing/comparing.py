"""Comparing what a flow made of records with what is expected."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from flowspec.testing.model import Expected
from flowspec.testing.running import Letter, Outcome

__all__ = ["difference", "expected_of", "seen_of"]

Like: TypeAlias = Callable[[Any, Any], Any]
"""Writes what was seen like what is expected, as far as both are equal."""

_MISSING = object()


def expected_of(expect: Expected) -> dict[str, Any]:
    """What is compared, as it is written."""
    written: dict[str, Any] = expect.model_dump(exclude_unset=True, exclude={"in_any_order"})
    return {name: value for name, value in written.items() if value is not None}


def seen_of(outcome: Outcome, expect: Expected) -> dict[str, Any]:
    """What was seen of that which is compared, written like what is expected wherever it is equal.

    Of a test that expects nothing it is all that was seen; the error of a flow that stopped is always in it.
    """
    arranged = _in_any_order if expect.in_any_order else _in_order
    expected = expected_of(expect)
    if not expected:
        return _all(outcome)
    seen: dict[str, Any] = {}
    for name, wanted in expected.items():
        if name == "sink":
            (bodies,) = outcome.sinks.values()
            seen[name] = arranged(bodies, wanted, _like)
        elif name == "sinks":
            seen[name] = {sink: arranged(outcome.sinks[sink], bodies, _like) for sink, bodies in wanted.items()}
        elif name == "dead_letters":
            seen[name] = arranged(outcome.dead_letters, wanted, _letter_like)
        elif name == "external_ids":
            seen[name] = arranged(outcome.external_ids, wanted, _like)
        elif name == "filtered":
            seen[name] = outcome.filtered
    return {**seen, **_stop(outcome, expected.get("stops"))}


def difference(expected: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    """The lines of a unified diff of two objects; none where they are equal."""
    before, after = (json.dumps(each, indent=2, ensure_ascii=False).splitlines() for each in (expected, seen))
    return list(difflib.unified_diff(before, after, "expected", "seen", lineterm=""))


def _all(outcome: Outcome) -> dict[str, Any]:
    single = len(outcome.sinks) == 1
    seen: dict[str, Any] = {"sink": next(iter(outcome.sinks.values()))} if single else {"sinks": outcome.sinks}
    if outcome.dead_letters:
        seen["dead_letters"] = [_letter_like(letter, _MISSING) for letter in outcome.dead_letters]
    if outcome.external_ids:
        seen["external_ids"] = outcome.external_ids
    return {**seen, "filtered": outcome.filtered, **_stop(outcome, None)}


def _stop(outcome: Outcome, wanted: str | None) -> dict[str, str]:
    if outcome.stops is None:
        return {}
    return {"stops": wanted if wanted is not None and wanted in outcome.stops else outcome.stops}


def _in_order(seen: Sequence[Any], expected: Sequence[Any], like: Like) -> list[Any]:
    wanted = [*expected, *[_MISSING] * len(seen)]
    return [like(each, wanted[place]) for place, each in enumerate(seen)]


def _in_any_order(seen: Sequence[Any], expected: Sequence[Any], like: Like) -> list[Any]:
    """What is equal to something expected in its place, the rest in the places that are left, and behind them."""
    rest = list(seen)
    places: list[list[Any]] = []
    for wanted in expected:
        equal = next((place for place, each in enumerate(rest) if _equal(like(each, wanted), wanted)), None)
        places.append([] if equal is None else [like(rest.pop(equal), wanted)])
    for place, wanted in enumerate(expected):
        if not places[place] and rest:
            places[place] = [like(rest.pop(0), wanted)]
    return [*(each for place in places for each in place), *(like(each, _MISSING) for each in rest)]


def _letter_like(letter: Letter, expected: Any) -> dict[str, Any]:
    """Of a dead letter that which is expected of it; its step and error where none is expected."""
    names = ("step", "error") if expected is _MISSING else tuple(expected)
    seen = {name: getattr(letter, name) for name in names}
    part = None if expected is _MISSING else expected.get("error")
    return {**seen, "error": part} if part is not None and part in letter.error else seen


def _like(seen: Any, expected: Any) -> Any:
    if _equal(seen, expected):
        return expected
    if isinstance(seen, dict) and isinstance(expected, dict):
        common = {name: _like(seen[name], expected[name]) for name in expected if name in seen}
        return {**common, **{name: seen[name] for name in seen if name not in common}}
    if isinstance(seen, list) and isinstance(expected, list):
        return _in_order(seen, expected, _like)
    return seen


def _equal(one: Any, other: Any) -> bool:
    """Whether two values of JSON are equal, numbers by value; true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(*pair) for pair in zip(one, other, strict=True))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
