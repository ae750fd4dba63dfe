"""Lines: JSON and texts, what is wrong with some of them, and going on anywhere."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from typing import Any, BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowspec.errors import RecordError
from sources.contents import Content, content_format
from tests.sources.contents.reading import bodies, rows


def test_rows_have_what_was_received_and_where_it_was() -> None:
    first, second = rows("json-lines", b'{"a": 1}\n{"a": 2}\r\n')

    assert (first.raw, first.body, first.number, first.offset) == (b'{"a": 1}', {"a": 1}, 1, 0)
    assert (second.raw, second.body, second.number, second.offset) == (b'{"a": 2}', {"a": 2}, 2, 9)
    assert second.after == {"offset": 19, "row": 2}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n\r\n\n", []),
        (b"a\n\n\r\nb", ["a", "b"]),
        (b"\xef\xbb\xbfa\n", ["a"]),
        (b"a\xef\xbb\xbf\n", ["a\ufeff"]),
        (b" \n", [" "]),
        (b"a\rb\n", ["a\rb"]),
    ],
    ids=[
        "nothing",
        "empty lines",
        "and between",
        "byte order mark",
        "not at the beginning",
        "blank",
        "carriage return",
    ],
)
def test_what_a_line_is(data: bytes, expected: list[str]) -> None:
    assert bodies("text", data) == expected


def test_a_line_that_is_not_of_the_format_is_the_only_one() -> None:
    found = bodies("json-lines", b'1\n{"a"\n\xff\n \n2\n')

    assert [found[0], found[-1]] == [1, 2]
    assert len(found) == 5
    assert all(text.startswith("the line is not json-lines: ") for text in found[1:4])


def test_encodings() -> None:
    assert bodies({"text": {"encoding": "cp1252"}}, "10 €\n".encode("cp1252")) == ["10 €"]
    (text,) = bodies("text", b"caf\xe9\n")
    assert "can't decode byte 0xe9 in position 3" in text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037", "utf-8-sig"])
def test_encodings_whose_lines_cannot_be_found_are_refused(encoding: str) -> None:
    with pytest.raises(ValueError, match="lines cannot be found"):
        rows({"text": {"encoding": encoding}}, b"")


def test_a_last_line_without_an_end_is_left_to_grow() -> None:
    data = b"a\nb"
    assert bodies("text", data) == ["a", "b"]

    (first,) = rows("text", data, growing=True)
    assert first.body == "a"
    assert rows("text", data, first.after, growing=True) == []
    assert bodies("text", data + b"c\n", first.after, growing=True) == ["bc"]


@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_a_line_that_is_too_long_is_passed_over(size: int) -> None:
    long = b"x" * 200_000
    found = rows("text", b"a\n" + long + b"\nb\n" + long, max_row=100_000, most=size if size > 1 else 1000)

    assert [row.number for row in found] == [1, 2, 3, 4]
    assert [row.body for row in (found[0], found[2])] == ["a", "b"]
    assert "longer than 100000 bytes" in str(found[1].body)
    assert long.startswith(found[1].raw)
    assert len(found[1].raw) == 64 * 1024


def test_reading_goes_on_inside_a_line_that_is_too_long() -> None:
    data = b"x" * 300_000 + b"\nb\n"
    first, _ = rows("text", data, max_row=1000)

    assert isinstance(first.body, RecordError)
    assert first.after["offset"] < 300_000
    assert bodies("text", data, json.loads(json.dumps(first.after)), max_row=1000) == ["b"]
    growing = data[: first.after["offset"]]
    assert bodies("text", growing, first.after, max_row=1000, growing=True) == []
    assert bodies("text", growing + b"yz\nc\n", first.after, max_row=1000, growing=True) == ["c"]


_line = st.binary(max_size=30).map(lambda data: data.replace(b"\n", b""))


@given(st.lists(_line, max_size=12), st.booleans(), st.integers(1, 40), st.booleans())
def test_reading_may_stop_and_go_on_behind_any_row(lines: list[bytes], ends: bool, most: int, compressed: bool) -> None:
    data = b"\n".join(lines) + (b"\n" if ends and lines else b"")
    stored = gzip.compress(data) if compressed else data
    form = {"text": {"encoding": "latin-1"}}
    whole = rows(form, stored, compressed=compressed, max_row=20)

    assert [row.number for row in whole] == list(range(1, len(whole) + 1))
    for place, row in enumerate(whole):
        again = rows(form, stored, row.after, compressed=compressed, max_row=20, most=most)
        assert [(each.raw, each.number, each.offset) for each in again] == [
            (each.raw, each.number, each.offset) for each in whole[place + 1 :]
        ]


def test_gzip_of_several_members() -> None:
    data = gzip.compress(b"1\n2\n") + gzip.compress(b"3\n")
    assert bodies("json-lines", data, compressed=True) == [1, 2, 3]


@pytest.mark.parametrize("damage", ["cut", "rubbish", "flipped"])
def test_broken_gzip_is_said_once_behind_what_could_be_read(damage: str) -> None:
    lines = b"".join(b"%d\n" % number for number in range(100_000))
    data = bytearray(gzip.compress(lines))
    if damage == "flipped":
        data[-5] ^= 0xFF
    broken = {"cut": bytes(data[: len(data) // 2]), "rubbish": b"not gzip", "flipped": bytes(data)}[damage]
    *good, last = rows("json-lines", broken, compressed=True)

    assert [row.body for row in good] == list(range(len(good)))
    assert (len(good) > 1000) == (damage != "rubbish")
    assert "cannot be decompressed as gzip" in str(last.body)
    assert rows("json-lines", broken, last.after, compressed=True) == []


def test_what_the_content_raises_comes_out_and_it_is_closed() -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError(5, "Input/output error")

    stream = Broken()
    found = content_format("text").rows(Content(lambda offset: cast("BinaryIO", stream)), None)

    with pytest.raises(OSError, match="Input/output error"):
        next(found)
    assert stream.closed


def test_nothing_is_opened_before_the_first_row_and_closing_closes() -> None:
    opened: list[io.BytesIO] = []

    def open_at(offset: int) -> BinaryIO:
        opened.append(io.BytesIO(b"a\nb\n"[offset:]))
        return opened[-1]

    found = content_format("text").rows(Content(open_at), {"offset": 2, "row": 1})
    assert opened == []
    assert next(found).body == "b"
    found.close()
    assert [each.closed for each in opened] == [True]


def test_memory_is_bounded_by_the_longest_row() -> None:
    class Endless(io.RawIOBase):
        left = 200 * 1024 * 1024

        def read(self, size: int = -1) -> bytes:
            self.left -= size
            return b"x" * size if self.left > 0 else b""

    tracemalloc.start()
    try:
        found: list[Any] = list(
            content_format("text").rows(Content(lambda offset: cast("BinaryIO", Endless()), max_row=1024 * 1024), None)
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found) == 1
    assert peak < 10 * 1024 * 1024
