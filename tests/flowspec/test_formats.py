from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from flowspec.errors import RecordError
from flowspec.formats import Format, decoder, encode_all, encoder
from flowspec.records import Record


@pytest.mark.parametrize(
    ("name", "raw", "body"),
    [
        ("json", b'{"a": [1, 2.5, null, true, "\xc3\xa9"]}', {"a": [1, 2.5, None, True, "é"]}),
        ("json", '{"a": 1}', {"a": 1}),
        ("text", b"caf\xc3\xa9", "café"),
        ("text", "café", "café"),
        ("bytes", b"\xff\x00", b"\xff\x00"),
        ("bytes", "café", b"caf\xc3\xa9"),
    ],
)
def test_decoders(name: Format, raw: bytes | str, body: Any) -> None:
    assert decoder(name)(raw) == body


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("json", b""), ("json", b"{"), ("json", "not json"), ("json", b"\xff\xfe"), ("json", b"NaN"),
        ("json", b"[" * 100_000), ("text", b"\xff\xfe"),
    ],
)  # fmt: skip
def test_payloads_of_another_format_are_value_errors(name: Format, raw: bytes | str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoder(name)(raw)


@pytest.mark.parametrize(
    ("name", "body", "payload"),
    [
        ("json", {"a": 1, "b": [None, "é"]}, '{"a":1,"b":[null,"é"]}'.encode()),
        ("json", {"at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)}, b'{"at":"2026-01-02T03:04:05+00:00"}'),
        ("json", {"on": date(2026, 1, 2)}, b'{"on":"2026-01-02"}'),
        ("json", {"tags": {"b", "a"}, "raw": b"x", "sum": Decimal("1.1")}, b'{"tags":["a","b"],"raw":"x","sum":"1.1"}'),
        ("text", "café", b"caf\xc3\xa9"),
        ("bytes", b"\xff", b"\xff"),
        ("bytes", "é", b"\xc3\xa9"),
    ],
)  # fmt: skip
def test_encoders(name: Format, body: Any, payload: bytes) -> None:
    assert encoder(name)(body) == payload


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("text", {"a": 1}, "format 'text' needs a text as body, not dict; map it to a text, or use format 'json'"),
        ("bytes", 5, "format 'bytes' needs bytes or a text as body, not int; use format 'json'"),
    ],
)
def test_a_body_of_the_wrong_type_is_told_with_a_way_out(name: Format, body: Any, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        encoder(name)(body)
    assert str(caught.value) == message


UNENCODABLE = [10**30, b"\xff", {1: "a"}, "\ud800", {"mixed": {1, "a"}}]


@pytest.mark.parametrize("bad", UNENCODABLE)
def test_one_body_that_cannot_be_encoded_is_a_failure_and_its_neighbours_are_not(bad: Any) -> None:
    records = [Record(b"", body) for body in ({"a": 1}, bad, {"b": 2})]
    good, payloads, failures = encode_all(records, encoder("json"))
    assert list(good) == [records[0], records[2]]
    assert payloads == [b'{"a":1}', b'{"b":2}']
    (failure,) = failures
    assert failure.record is records[1]
    assert isinstance(failure.error, RecordError)
    assert str(failure.error).startswith("body cannot be encoded: ")


def test_a_good_batch_is_encoded_whole() -> None:
    records = [Record(b"", number) for number in range(3)]
    assert encode_all(records, encoder("json")) == (records, [b"0", b"1", b"2"], [])
