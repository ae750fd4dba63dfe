"""Contents that are one record, and lists whose items are the records."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from pydantic import ValidationError

from tests.sources.contents.reading import bodies, rows


@pytest.mark.parametrize(
    ("form", "data", "body"),
    [
        ("json", b'\xef\xbb\xbf{"a":\n 1}', {"a": 1}),
        ("json", b"[1, 2]", [1, 2]),
        ("whole-text", b"\xef\xbb\xbfa\nb\n", "a\nb\n"),
        ({"whole-text": {"encoding": "utf-16"}}, "né".encode("utf-16"), "né"),
        ("bytes", b"\xef\xbb\xbf\0", b"\xef\xbb\xbf\0"),
        ("bytes", b"", b""),
    ],
)
def test_a_content_is_one_record(form: Any, data: bytes, body: Any) -> None:
    (row,) = rows(form, data)

    assert (row.raw, row.body, row.number) == (data, body, 1)
    assert rows(form, data, row.after) == []
    assert bodies(form, gzip.compress(data), compressed=True) == [body]


@pytest.mark.parametrize(
    ("form", "data", "text"),
    [
        ("json", b"", "the content is not json: "),
        ("json", b"{", "the content is not json: "),
        ("whole-text", b"\xff", "the content is not whole-text: "),
        ("bytes", b"x" * 11, "longer than 10 bytes"),
        ({"json": {"items": True}}, b'{"a": []}', "it is no list"),
        ({"json": {"items": "a.b"}}, b'{"a": []}', "'a.b' is no list in it"),
    ],
)
def test_one_that_is_not_of_the_format_is_one_dead_letter(form: Any, data: bytes, text: str) -> None:
    (row,) = rows(form, data, max_row=10)

    assert text in str(row.body)
    assert data.startswith(row.raw)
    assert rows(form, data, row.after) == []


@pytest.mark.parametrize(
    ("items", "data"), [(True, b'[{"id": 1}, {"id": 2}]'), ("a.b", b'{"a": {"b": [{"id": 1}, {"id": 2}]}}')]
)
def test_items_of_a_list_are_records(items: Any, data: bytes) -> None:
    first, second = rows({"json": {"items": items}}, data)

    assert (first.raw, first.body, first.number) == (b'{"id":1}', {"id": 1}, 1)
    assert bodies({"json": {"items": items}}, data, first.after) == [{"id": 2}]
    assert rows({"json": {"items": items}}, data, second.after) == []


def test_mistakes_in_a_format_name_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean 'whole-text'"):
        rows({"whole-txt": {}}, b"")
