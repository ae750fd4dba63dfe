from __future__ import annotations

from datetime import date, datetime, time, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from flowspec.errors import RecordError, TransientError
from flowspec.formats import FormatName, Text, TextFormat, decoder, encode_all, encoder, format_name, line_encoder
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
        ("csv", b'A-1,"a, b",', ["A-1", "a, b", ""]),
    ],
)
def test_decoders(name: FormatName, raw: bytes | str, body: Any) -> None:
    assert decoder(name)(raw) == body


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("json", b""), ("json", b"{"), ("json", "not json"), ("json", b"\xff\xfe"), ("json", b"NaN"),
        ("json", b"[" * 100_000), ("text", b"\xff\xfe"),
    ],
)  # fmt: skip
def test_payloads_of_another_format_are_value_errors(name: FormatName, raw: bytes | str) -> None:
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
        ("csv", ["A-1", "a, b", None], b'A-1,"a, b",'),
    ],
)  # fmt: skip
def test_encoders(name: FormatName, body: Any, payload: bytes) -> None:
    assert encoder(name)(body) == payload


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("text", {"a": 1}, "format 'text' needs a text as body, not dict; map it to a text, or use format 'json'"),
        ("bytes", 5, "format 'bytes' needs bytes or a text as body, not int; use format 'json'"),
    ],
)
def test_a_body_of_the_wrong_type_is_told_with_a_way_out(name: FormatName, body: Any, message: str) -> None:
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


def test_json_is_decoded_by_orjson_itself() -> None:
    assert decoder("json") is orjson.loads


LATIN = TextFormat(text=Text(encoding="latin-1"))


def test_a_text_in_another_encoding() -> None:
    assert decoder(LATIN)(b"caf\xe9") == "café"
    assert decoder(LATIN)("café") == "café"
    assert encoder(LATIN)("café") == b"caf\xe9"


def test_a_character_that_the_encoding_does_not_have_is_a_failure() -> None:
    _, _, (failure,) = encode_all([Record(b"", "€")], encoder(LATIN))
    assert str(failure.error).startswith("body cannot be encoded: 'latin-1' codec can't encode character")


def test_bytes_that_are_no_text_are_told_with_a_way_out() -> None:
    _, _, (failure,) = encode_all([Record(b"", {"hash": b"\xff"})], encoder("json"))
    assert str(failure.error) == (
        "body cannot be encoded: it has bytes that are not UTF-8 (invalid start byte); "
        "make a text of them with base64()"
    )


def test_what_avro_makes_of_its_types_is_json_too() -> None:
    body = {
        "price": Decimal("12.50"),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
        "time": time(3, 4, 5),
        "id": UUID("6a2f41a3-c54c-fce8-32d2-0324e1c32e22"),
        "data": b"abc",
    }
    assert orjson.loads(encoder("json")(body)) == {
        "price": "12.50",
        "at": "2026-01-02T03:04:05.678901+00:00",
        "time": "03:04:05",
        "id": "6a2f41a3-c54c-fce8-32d2-0324e1c32e22",
        "data": "abc",
    }


@pytest.mark.parametrize("name", ["text", "bytes", "csv"])
def test_a_line_end_is_refused_where_records_are_lines(name: FormatName) -> None:
    body = ["two\nlines"] if name == "csv" else "two\nlines"
    with pytest.raises(RecordError, match="it has a line end, which a line cannot hold; use format json"):
        line_encoder(name)(body)
    assert line_encoder(name)(["one"] if name == "csv" else "one") == b"one"


def test_json_has_no_line_ends() -> None:
    assert line_encoder("json") is encoder("json")
    assert line_encoder("json")({"note": "two\nlines"}) == b'{"note":"two\\nlines"}'


def test_a_format_is_known_by_its_name() -> None:
    assert [format_name("csv"), format_name(LATIN)] == ["csv", "text"]


def test_what_keeps_an_encoder_from_its_work_is_no_failure_of_a_record() -> None:
    def encode(body: Any) -> bytes:
        msg = "the registry is down"
        raise TransientError(msg)

    with pytest.raises(TransientError, match="the registry is down"):
        encode_all([Record(b"", 1)], encode)
