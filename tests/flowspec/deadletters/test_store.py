from __future__ import annotations

import base64
import time
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flowspec.deadletters.letter import DeadLetter
from flowspec.deadletters.store import LetterStore
from flowspec.errors import FatalError, RecordError
from flowspec.records import Record


def letter(record: Record, error: Exception | None = None) -> DeadLetter:
    return DeadLetter(record, "map-2", error or RecordError("missing field 'total'"), 3, time.time())


class Mute:
    """Something that fails to say what it is."""

    def __str__(self) -> str:
        raise RuntimeError


class MuteError(Exception):
    """The same, raised by a user's function."""

    def __str__(self) -> str:
        raise RuntimeError


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


def circle() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def test_there_is_no_file_before_the_first_dead_letter(tmp_path: Path) -> None:
    letters = LetterStore("orders", tmp_path)

    assert letters.envelopes() == []
    assert list(tmp_path.iterdir()) == []


def test_a_dead_letter_has_what_is_needed_to_mend_and_replay_it(tmp_path: Path) -> None:
    letters = LetterStore("orders", tmp_path)
    record = Record(
        '{"order_id": "é1"}',
        {"order_id": "é1"},
        {"message_id": "m1", "sent_at": datetime(2026, 1, 2, tzinfo=timezone.utc)},
        "group",
        {"size": 2},
        "é1",
    )
    error = RecordError("missing field 'total'")
    error.__cause__ = KeyError("total")

    letters.add([letter(record, error)])
    letters.close()

    (found,) = letters.envelopes()
    first, last = found.pop("first_try"), found.pop("last_try")
    assert datetime.fromisoformat(first[:26]) <= datetime.fromisoformat(last[:26])
    assert found == {
        "id": 1,
        "next_try": None,
        "flow": "orders",
        "external_id": "é1",
        "step": "map-2",
        "error": {"type": "RecordError", "message": "missing field 'total'", "cause": "KeyError: 'total'"},
        "attempts": 3,
        "origin": {"message_id": "m1", "sent_at": "2026-01-02T00:00:00Z"},
        "key": "group",
        "headers": {"size": 2},
        "payload": {"text": '{"order_id": "é1"}'},
        "body": {"order_id": "é1"},
    }
    assert letters.path == tmp_path / "dead-letters" / "orders.sqlite"


@pytest.mark.parametrize(
    "payload",
    [b"\xff\xfe\x00", b"", b"plain", "x" * 262_144, "\ud800 half a pair"],
    ids=["not UTF-8", "empty", "UTF-8", "256 KiB", "surrogate"],
)
def test_the_payload_is_kept_exactly(tmp_path: Path, payload: bytes | str) -> None:
    letters = LetterStore("orders", tmp_path)
    letters.add([letter(Record(payload), ValueError(repr(payload) + "\ud800"))])
    letters.close()

    (found,) = letters.envelopes()
    kept = found["payload"]
    data = kept["text"].encode() if "text" in kept else base64.b64decode(kept["base64"])
    assert data == (payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload)


def test_anything_may_be_in_meta_and_headers(tmp_path: Path) -> None:
    letters = LetterStore("orders", tmp_path)
    odd = {"raw": b"\xff", "amount": Decimal("1.5"), "many": {1, 2}, "key": {3: ("a", None)}, "bad": "\udfff"}
    letters.add([letter(Record("x", None, dict(odd), b"k", dict(odd)))])
    letters.close()

    (found,) = letters.envelopes()
    assert found["origin"] == {
        "raw": {"base64": "/w=="},
        "amount": "1.5",
        "many": [1, 2],
        "key": {"3": ["a", None]},
        "bad": "\\udfff",
    }
    assert found["key"] == {"text": "k"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (10**37, "1" + "0" * 37),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (float("nan"), None),
        (Mute(), "<Mute that cannot be shown>"),
        (datetime(2026, 1, 2, tzinfo=timezone.utc), "2026-01-02T00:00:00Z"),
    ],
    ids=["more than 64 bit", "smallest", "largest", "not a number", "mute", "time"],
)
def test_a_value_that_json_has_not_is_kept_as_what_it_has(tmp_path: Path, value: Any, kept: Any) -> None:
    letters = LetterStore("orders", tmp_path)
    letters.add([letter(Record("x", {"a": [value]}, {}, value, {"a": value}))])
    letters.close()

    (found,) = letters.envelopes()
    assert (found["body"], found["key"], found["headers"]) == ({"a": [kept]}, kept, {"a": kept})


@pytest.mark.parametrize("value", [nested(400), circle()], ids=["deep", "circle"])
def test_what_is_too_deep_for_json_is_kept_as_text(tmp_path: Path, value: Any) -> None:
    letters = LetterStore("orders", tmp_path)
    letters.add([letter(Record("x", value, {"a": value}))])
    letters.close()

    (found,) = letters.envelopes()
    for _ in range(100):
        (found["body"],) = found["body"]
    assert found["body"].startswith("[[")


def test_half_a_surrogate_pair_may_be_anywhere(tmp_path: Path) -> None:
    letters = LetterStore("orders", tmp_path)
    letters.add([letter(Record("x", {"\ud800": "\ud800"}, external_id="\ud800"))])
    letters.close()

    (found,) = letters.envelopes()
    assert (found["external_id"], found["body"]) == ("\\ud800", {"\\ud800": "\\ud800"})


def test_an_error_may_fail_to_say_what_it_is(tmp_path: Path) -> None:
    letters = LetterStore("orders", tmp_path)
    error = MuteError()
    error.__cause__ = MuteError()
    letters.add([letter(Record("x"), error)])
    letters.close()

    (found,) = letters.envelopes()
    shown = "<MuteError that cannot be shown>"
    assert found["error"] == {"type": "MuteError", "message": shown, "cause": f"MuteError: {shown}"}


def test_a_store_that_cannot_be_written_stops_the_flow(tmp_path: Path) -> None:
    (tmp_path / "dead-letters").write_text("in the way")

    with pytest.raises(FatalError, match=r"dead letters cannot be kept in .*orders\.sqlite: "):
        LetterStore("orders", tmp_path).add([letter(Record("x"))])


def test_a_damaged_store_is_named_with_a_way_out(tmp_path: Path) -> None:
    letters = LetterStore("orders", tmp_path)
    letters.path.parent.mkdir()
    letters.path.write_text("garbage " * 1000)

    with pytest.raises(FatalError, match=r"orders\.sqlite: file is not a database; it is damaged: move it away"):
        letters.envelopes()
