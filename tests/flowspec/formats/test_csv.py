from __future__ import annotations

import csv
import io
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowspec.errors import RecordError
from flowspec.formats import Csv, CsvFormat, decoder, encode_all, encoder
from flowspec.records import Record


def form(**options: Any) -> CsvFormat:
    return CsvFormat(csv=Csv(**options))


ORDER = form(columns=["id", "note"])


@pytest.mark.parametrize(
    ("raw", "fields"),
    [
        (b"a,b,c", ["a", "b", "c"]),
        (b"a,,", ["a", "", ""]),
        (b'""', [""]),
        (b'"a, b",c', ["a, b", "c"]),
        (b'"say ""hi""",c', ['say "hi"', "c"]),
        (b'"two\nlines","and\r\ntwo"', ["two\nlines", "and\r\ntwo"]),
        (b"a,b\r\n", ["a", "b"]),
        (b"a,b\n", ["a", "b"]),
        (b" a , b ", [" a ", " b "]),
        (b'5" pipe,b', ['5" pipe', "b"]),
        ("café,€".encode(), ["café", "€"]),
        ("café,€", ["café", "€"]),
        (b"x" * 1_000_000 + b",y", ["x" * 1_000_000, "y"]),
    ],
)
def test_a_line_is_a_list_of_texts(raw: bytes | str, fields: list[str]) -> None:
    assert decoder(form())(raw) == fields


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "it is empty"),
        (b"\n", "it is empty"),
        (b"a,b\nc,d", "it has more than one line, and a record is one"),
        (b"a,b\r\nc,d\r\n", "it has more than one line, and a record is one"),
        (b"a\rb", "it has more than one line, and a record is one"),
        (b'"a,b', "a quote is not closed"),
        (b'"a"b,c', "',' expected after '\"'"),
        (b"\xff", "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    ],
)
def test_what_is_no_line_is_a_value_error(raw: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        decoder(form())(raw)
    assert str(caught.value) == message


def test_columns_make_an_object() -> None:
    assert decoder(ORDER)(b'A-1,"a, b"') == {"id": "A-1", "note": "a, b"}
    assert encoder(ORDER)({"note": "a, b", "id": "A-1"}) == b'A-1,"a, b"'


@pytest.mark.parametrize(("raw", "count"), [(b"A-1", 1), (b"A-1,b,c", 3)])
def test_another_number_of_fields_is_told_with_both_counts(raw: bytes, count: int) -> None:
    with pytest.raises(ValueError, match=rf"it has {count} fields, not 2 \(id, note\)"):
        decoder(ORDER)(raw)


@pytest.mark.parametrize(
    ("options", "fields", "line"),
    [
        ({"delimiter": ";"}, ["1,5", "a;b"], b'1,5;"a;b"'),
        ({"delimiter": "\t"}, ["a", "b\tc"], b'a\t"b\tc"'),
        ({"quote": "'"}, ['say "hi"', "it's"], b"say \"hi\",'it''s'"),
        ({"quote": None, "delimiter": "\t"}, ['5" pipe', "b"], b'5" pipe\tb'),
        ({"encoding": "cp1252"}, ["café", "5 €"], b"caf\xe9,5 \x80"),
        ({}, ["two\nlines", "and\rtwo", ""], b'"two\nlines","and\rtwo",'),
    ],
)
def test_options_go_both_ways(options: dict[str, Any], fields: list[str], line: bytes) -> None:
    assert encoder(form(**options))(fields) == line
    assert decoder(form(**options))(line) == fields


def test_values_are_texts_as_in_json() -> None:
    body = [
        None, True, False, 3, 1.5, Decimal("1.10"), date(2026, 1, 2),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    ]  # fmt: skip
    assert encoder("csv")(body) == b",true,false,3,1.5,1.10,2026-01-02,2026-01-02T03:04:05+00:00"


def test_an_empty_field_alone_is_not_an_empty_line() -> None:
    assert encoder("csv")([""]) == b'""'


@pytest.mark.parametrize(
    ("form", "body", "message"),
    [
        (ORDER, {"id": "A-1"}, "the body has no 'note'"),
        (ORDER, {}, "the body has no 'id', 'note'"),
        (ORDER, ["A-1", "b"], "format 'csv' with columns needs an object as body, not list"),
        (
            ORDER,
            {"id": "A-1", "note": {"a": 1}},
            "column 'note' is a value of type dict, which a field of CSV does not hold; map it to a text",
        ),
        (form(), {"id": 1}, "format 'csv' without columns needs a list as body, not dict; name the columns"),
        (form(), [], "an empty list makes no line"),
        (
            form(),
            ["a", b"b"],
            "field 2 is a value of type bytes, which a field of CSV does not hold; map it to a text",
        ),
        (form(quote=None), ["a,b"], "a field has a delimiter or line end, which needs a quote"),
    ],
)
def test_a_body_that_is_no_line_is_told_with_a_way_out(form: CsvFormat, body: Any, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        encoder(form)(body)
    assert str(caught.value) == message


def test_columns_choose_what_is_written() -> None:
    assert encoder(ORDER)({"id": 1, "note": None, "secret": "x"}) == b"1,"


def test_a_bad_body_leaves_nothing_in_the_next_line() -> None:
    notes: list[Any] = ["a", {}, "b"]
    records = [Record(b"", {"id": 1, "note": note}) for note in notes]
    _, lines, failures = encode_all(records, encoder(ORDER))
    assert (lines, len(failures)) == ([b"1,a", b"1,b"], 1)


FIELDS = st.lists(st.text(st.characters(exclude_characters="\0", codec="utf-8")), min_size=1)


@given(FIELDS, st.sampled_from([",", ";", "\t", "|", "é", " "]), st.sampled_from(['"', "'", "ü"]))
def test_what_is_encoded_is_decoded_again_and_read_by_pythons_own_reader(
    fields: list[str], delimiter: str, quote: str
) -> None:
    options = form(delimiter=delimiter, quote=quote)
    line = encoder(options)(fields)

    assert decoder(options)(line) == fields
    file = io.StringIO(line.decode() + "\r\n", newline="")
    assert list(csv.reader(file, delimiter=delimiter, quotechar=quote)) == [fields]
