"""CSV: headers, quoted line ends, and rows that are wrong."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sources.contents import content_format
from tests.sources.contents.reading import bodies, content, rows

_HEADER = b"id,name\r\n"


def test_the_header_names_the_fields() -> None:
    first, second = rows("csv", _HEADER + b"1,a\r\n2,b\r\n")

    assert (first.raw, first.body, first.number, first.offset) == (b"1,a", {"id": "1", "name": "a"}, 1, 9)
    assert second.body == {"id": "2", "name": "b"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"columns": ["x", "y"]}, [{"x": "id", "y": "name"}, {"x": "1", "y": "a"}]),
        ({"columns": ["x", "y"], "header": True}, [{"x": "1", "y": "a"}]),
        ({"header": False}, [["id", "name"], ["1", "a"]]),
        ({"header": True}, [{"id": "1", "name": "a"}]),
    ],
)
def test_columns_and_header(options: dict[str, Any], expected: list[Any]) -> None:
    assert bodies({"csv": options}, _HEADER + b"1,a\r\n") == expected


def test_fields_may_have_line_ends_and_delimiters() -> None:
    (row,) = rows("csv", _HEADER + b'1,"a\r\nb, ""c"""\r\n')

    assert row.body == {"id": "1", "name": 'a\r\nb, "c"'}
    assert row.raw == b'1,"a\r\nb, ""c"""'


def test_dialects() -> None:
    assert bodies({"csv": {"delimiter": ";", "quote": "'"}}, b"id;name\n1;'a;\"b'\n") == [{"id": "1", "name": 'a;"b'}]
    assert bodies({"csv": {"delimiter": "\t", "quote": None}}, b'id\tname\n1\t"a\n') == [{"id": "1", "name": '"a'}]
    assert bodies({"csv": {"encoding": "cp1252"}}, "id,name\n1,€\n".encode("cp1252")) == [{"id": "1", "name": "€"}]
    assert bodies("csv", b"\xef\xbb\xbf" + _HEADER + b"1,a\n") == [{"id": "1", "name": "a"}]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (b"1,a,b", "the row has 3 fields, not 2 (id, name)"),
        (b"1", "the row has 1 fields, not 2 (id, name)"),
        (b"1,\xff", "the row is not utf-8: "),
        (b'1,"a"b', "the row is not csv: "),
        (b"1,a\rb", "a carriage return inside a line"),
    ],
)
def test_a_row_that_is_wrong_is_the_only_one(row: bytes, text: str) -> None:
    first, wrong, last = rows("csv", _HEADER + b"1,a\r\n" + row + b"\r\n2,b\r\n")

    assert [first.body["id"], last.body["id"]] == ["1", "2"]
    assert text in str(wrong.body)
    assert wrong.raw == row


def test_a_quote_that_is_not_closed_takes_the_rest_with_it() -> None:
    first, wrong = rows("csv", _HEADER + b'1,a\n2,"b\n3,c\n')

    assert first.body["id"] == "1"
    assert "a quote is not closed" in str(wrong.body)
    assert wrong.raw == b'2,"b\n3,c'


def test_a_quote_that_is_not_closed_ends_with_the_longest_row() -> None:
    data = _HEADER + b'1,"a\n' + b"x" * 50 + b"\n2,b\n3,c\n"
    wrong, *others = rows("csv", data, max_row=40)

    assert "longer than 40 bytes" in str(wrong.body)
    assert [row.body["id"] for row in others] == ["2", "3"]


@pytest.mark.parametrize(
    ("header", "text"),
    [(b"id,id\n", "the column 'id' twice"), (b'"id,name', "the header cannot be read"), (b"\xff,a\n", "header cannot")],
)
def test_a_content_whose_header_is_wrong_is_one_dead_letter(header: bytes, text: str) -> None:
    (row,) = rows("csv", header + b"1,a\n" if header.endswith(b"\n") else header)

    assert text in str(row.body)
    assert rows("csv", header, row.after) == []


def test_a_growing_content_waits_for_the_end_of_a_row_and_of_the_header() -> None:
    assert rows("csv", b"id,na", growing=True) == []
    (row,) = rows("csv", _HEADER + b'1,a\n2,"b\n', growing=True)
    assert row.body["id"] == "1"
    assert bodies("csv", _HEADER + b'1,a\n2,"b\nc"\n', row.after, growing=True) == [{"id": "2", "name": "b\nc"}]


def test_reading_may_begin_at_a_byte_with_the_names_of_the_header() -> None:
    form = content_format("csv")
    data = _HEADER + b"1,a\r\n2,b\r\n"

    at = form.behind(content(data), len(_HEADER) + 5)
    assert bodies("csv", data, at) == [{"id": "2", "name": "b"}]
    assert form.behind(content(b"id,na", growing=True), 0) is None


_field = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=8)


@given(st.lists(st.tuples(_field, _field).filter(any), max_size=8), st.sampled_from(["\n", "\r\n"]))
def test_what_pythons_writer_writes_is_read_and_may_be_resumed(written: list[tuple[str, str]], end: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end).writerows([("a", "b"), *written])
    data = text.getvalue().encode()
    found = rows("csv", data)

    assert [tuple(row.body.values()) for row in found] == written
    for place, row in enumerate(found):
        assert [each.body for each in rows("csv", data, row.after)] == [each.body for each in found[place + 1 :]]


def test_mistakes() -> None:
    with pytest.raises(ValidationError, match="'id' is there twice"):
        rows({"csv": {"columns": ["id", "id"]}}, b"")
    with pytest.raises(ValidationError, match="lines cannot be found"):
        rows({"csv": {"encoding": "utf-16"}}, b"")
