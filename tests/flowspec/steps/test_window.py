from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from flowspec.errors import RecordError
from flowspec.records import Record
from flowspec.steps.window import Window

COUNT = {"values": {"n": "count"}}


def window(**options: Any) -> Window:
    return TypeAdapter(Window).validate_python({"window": {"tumbling": "1m", **COUNT, **options}})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tumbling": None}, "say one of tumbling, sliding and session"),
        ({"session": "1m"}, "say one of tumbling, sliding and session"),
        ({"tumbling": None, "sliding": {"size": "1m", "every": "2m"}}, "every is longer than size"),
        ({"tumbling": None, "sliding": {"size": "1h", "every": "1s"}}, "more than 1,000 windows"),
        ({"lateness": "1m"}, "without it no record is late"),
        ({"values": {"start": "count"}}, "a window has a start already"),
        ({"values": {}}, "at least 1 item"),
        ({"values": {"a b": "count"}}, "should match pattern"),
        ({"values": {"n": {"sum": "a", "avg": "a"}}}, "say one thing"),
        ({"values": {"n": {"percentile": "a"}}}, "a percentile is written as"),
        ({"values": {"n": {"sum": "a", "at": 5}}}, "a percentile is written as"),
        ({"tumbling": 0}, "greater than or equal"),
    ],
)
def test_mistakes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        window(**options)


@pytest.mark.parametrize(
    ("options", "body", "message"),
    [
        ({"key": "k"}, {"k": None}, "the key is null"),
        ({"time": "at"}, {"at": None}, "the time at is None"),
        ({"time": "at"}, {"at": "soon"}, "the time at is 'soon'"),
        ({"time": "at"}, {"at": 1e300}, "the time at is 1e"),
        ({"values": {"n": {"sum": "a"}}}, {"a": "7"}, "sum needs a number, and a is '7'"),
        ({"values": {"n": {"sum": "a"}}}, {"a": True}, "sum needs a number, and a is True"),
        ({"values": {"n": {"avg": "a"}}}, {"a": float("nan")}, "avg needs a finite number"),
        ({"values": {"n": {"min": "a"}}}, {"a": [1]}, "min needs a number, text or time"),
        ({"values": {"n": {"percentile": "a", "at": 50}}}, {"a": "x"}, "percentile needs a number"),
    ],
)
def test_a_record_that_fits_no_window_fails_before_its_memory(
    options: dict[str, Any], body: dict[str, Any], message: str
) -> None:
    keying = window(**options).keying()
    with pytest.raises(RecordError, match=message):
        keying([Record(b"", body)])


@pytest.mark.parametrize("at", [1_700_000_000, 1_700_000_000.0, "2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00"])
def test_times(at: Any) -> None:
    ((_, (_, (_, time, _))),) = window(time="at").keying()([Record(b"", {"at": at})])
    assert time == 1_700_000_000_000_000
