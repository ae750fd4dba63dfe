"""Parquet: values as JSON has them, row groups one after another, and files that are none."""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.contents import Content, content_format
from tests.sources.contents.reading import bodies, rows


def parquet(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def numbers(count: int) -> pa.Table:
    return pa.table({"id": list(range(count)), "name": [f"n{number}" for number in range(count)]})


def test_rows_are_objects() -> None:
    first, second = rows("parquet", parquet(numbers(2)))

    assert (first.raw, first.body, first.number, first.offset) == (
        b'{"id":0,"name":"n0"}',
        {"id": 0, "name": "n0"},
        1,
        None,
    )
    assert second.number == 2


@pytest.mark.parametrize("at", [0, 511, 512, 999, 1000, 1499, 2999])
def test_reading_goes_on_behind_any_row(at: int) -> None:
    data = parquet(numbers(3000), row_group_size=1000)
    whole = rows("parquet", data)
    assert [row.body["id"] for row in whole] == list(range(3000))

    again = rows("parquet", data, json.loads(json.dumps(whole[at].after)))
    assert [(row.number, row.body) for row in again] == [(row.number, row.body) for row in whole[at + 1 :]]


def test_a_file_that_can_go_back_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet(numbers(3)))
    monkeypatch.setattr("sources.contents.parquet.tempfile.TemporaryFile", None)

    def open_at(offset: int) -> Any:
        return path.open("rb")

    assert len(list(content_format("parquet").rows(Content(open_at), None))) == 3


def test_columns() -> None:
    data = parquet(pa.table({"id": [1], "who": [{"name": "a", "age": 2}]}))

    assert bodies({"parquet": {"columns": ["id", "who.name"]}}, data) == [{"id": 1, "who": {"name": "a"}}]
    (text,) = bodies({"parquet": {"columns": ["missing"]}}, data)
    assert "no column 'missing', but id, who" in text


UTC = timezone.utc
WHEN = datetime(2024, 5, 1, 12, 30, 0, 123456)  # noqa: DTZ001 - what is tested


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (pa.timestamp("us", "UTC"), WHEN.replace(tzinfo=UTC), "2024-05-01T12:30:00.123456Z"),
        (pa.timestamp("us", "Europe/Madrid"), WHEN.replace(tzinfo=UTC), "2024-05-01T14:30:00.123456+02:00"),
        (pa.timestamp("us"), WHEN, "2024-05-01T12:30:00.123456"),
        (pa.timestamp("ns"), 1_001, "1970-01-01T00:00:00.000001"),
        (pa.list_(pa.timestamp("ns", "UTC")), [1_001, None], ["1970-01-01T00:00:00.000001Z", None]),
        (pa.struct([("at", pa.timestamp("ns"))]), {"at": 1_001}, {"at": "1970-01-01T00:00:00.000001"}),
        (pa.date32(), date(2024, 5, 1), "2024-05-01"),
        (pa.time64("ns"), 1_001, "00:00:00.000001"),
        (pa.duration("ms"), timedelta(seconds=1.5), 1.5),
        (pa.decimal128(10, 2), Decimal("1.10"), "1.10"),
        (pa.binary(), b"\xff", "/w=="),
        (pa.map_(pa.string(), pa.decimal128(3, 1)), [("a", Decimal("1.5"))], {"a": "1.5"}),
        (pa.map_(pa.int32(), pa.date32()), [(1, date(2024, 5, 1))], [[1, "2024-05-01"]]),
        (pa.dictionary(pa.int32(), pa.string()), "a", "a"),
        (pa.float64(), 1.5, 1.5),
        (pa.bool_(), True, True),
    ],
    ids=str,
)
def test_values_are_what_json_has(kind: pa.DataType, value: Any, expected: Any) -> None:
    data = parquet(pa.table({"a": pa.array([value, None], type=kind)}))
    found = rows("parquet", data)

    assert [row.body for row in found] == [{"a": expected}, {"a": None}]
    assert orjson.loads(found[0].raw) == found[0].body


def test_a_time_that_python_has_not_is_one_dead_letter() -> None:
    data = parquet(pa.table({"id": [1, 2, 3], "at": pa.array([0, 2**62, 0], type=pa.timestamp("us"))}))
    first, wrong, last = bodies("parquet", data)

    assert [first["id"], last["id"]] == [1, 3]
    assert "the row cannot be decoded" in wrong


@pytest.mark.parametrize("damage", ["none of it", "cut", "a page"])
def test_what_is_no_parquet_is_one_dead_letter(damage: str) -> None:
    data = parquet(numbers(3000), row_group_size=1000, write_page_checksum=True)
    broken = {
        "none of it": b"id,name\n",
        "cut": data[:-10],
        "a page": data[: len(data) // 3] + bytes(200) + data[len(data) // 3 + 200 :],
    }[damage]
    *good, last = rows("parquet", broken)

    assert [row.body["id"] for row in good] == list(range(len(good)))
    assert "the content is not parquet" in str(last.body)
    assert rows("parquet", broken, last.after) == []
