"""Values of databases as JSON has them, and back."""

# ruff: noqa: DTZ001 - columns without a zone

from __future__ import annotations

import math
from contextlib import closing
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import (
    ARRAY,
    JSON,
    Boolean,
    Date,
    DateTime,
    Float,
    Integer,
    Interval,
    LargeBinary,
    Numeric,
    String,
    Uuid,
)
from sqlalchemy import Time as TimeOfDay
from sqlalchemy.types import NullType, TypeEngine

from flowspec.errors import RecordError
from sources.sql.account import SqlAccount
from sources.sql.values import Plain, taker, to_plain
from tests.servers.database import Database
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.sqlite import SqliteFile

BERLIN = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (True, True),
        ("ü", "ü"),
        (2**63, 2**63),
        (datetime(2024, 5, 1, 12, 30, 0, 5, BERLIN), "2024-05-01T12:30:00.000005+02:00"),
        (datetime(2024, 5, 1, 12, 30), "2024-05-01T12:30:00"),
        (date(2024, 5, 1), "2024-05-01"),
        (time(12, 30), "12:30:00"),
        (timedelta(minutes=1, milliseconds=500), 60.5),
        (Decimal(5), 5),
        (Decimal("12.50"), 12.5),
        (Decimal(2**63), float(2**63)),
        (b"\x00\xff", "AP8="),
        (memoryview(b"\x00\xff"), "AP8="),
        (UUID(int=10), "00000000-0000-0000-0000-00000000000a"),
        ([date(2024, 5, 1), (None, b"")], ["2024-05-01", [None, ""]]),
        ({"a": {"b": [0.1]}}, {"a": {"b": [0.1]}}),
        (1 + 2j, "(1+2j)"),
    ],
)
def test_a_value_becomes_what_json_has(value: object, plain: object) -> None:
    found = to_plain(value)
    assert found == plain
    assert type(found) is type(plain)


def test_a_decimal_is_exact_where_it_is_a_text() -> None:
    assert to_plain([Decimal("12345678901234567890.10")], "text") == ["12345678901234567890.10"]


def test_a_decimal_that_is_no_number_is_none_of_json() -> None:
    assert math.isnan(to_plain(Decimal("NaN")))


def test_a_row_becomes_a_body() -> None:
    rows = [(1, "a", None), (2, Decimal("1.5"), b"x")]
    assert Plain(["id", "name", "blob"]).bodies(rows) == [
        {"id": 1, "name": "a", "blob": None},
        {"id": 2, "name": 1.5, "blob": "eA=="},
    ]
    assert Plain(["id", "name", "blob"], "text").bodies(rows[1:]) == [{"id": 2, "name": "1.5", "blob": "eA=="}]


@pytest.mark.parametrize(
    ("column", "value", "taken"),
    [
        (String(), "a", "a"),
        (String(), 1.5, "1.5"),
        (String(), True, "true"),
        (String(), {"a": [1]}, '{"a":[1]}'),
        (String(), date(2024, 5, 1), "2024-05-01"),
        (Integer(), "12", 12),
        (Integer(), 12.0, 12),
        (Integer(), True, 1),
        (Float(), "1.5", 1.5),
        (Numeric(), 0.1, Decimal("0.1")),
        (Numeric(), "12345678901234567890.10", Decimal("12345678901234567890.10")),
        (Boolean(), "true", True),
        (Boolean(), 0, False),
        (DateTime(), "2024-05-01T12:00:00.1+02:00", datetime(2024, 5, 1, 10, 0, 0, 100_000)),
        (DateTime(), "2024-05-01 12:00:00.123456789", datetime(2024, 5, 1, 12, 0, 0, 123_456)),
        (DateTime(), "2024-05-01", datetime(2024, 5, 1)),
        (DateTime(timezone=True), "2024-05-01T12:00:00Z", datetime(2024, 5, 1, 12, tzinfo=timezone.utc)),
        (DateTime(timezone=True), "2024-05-01T12:00:00", datetime(2024, 5, 1, 12, tzinfo=timezone.utc)),
        (Date(), "2024-05-01", date(2024, 5, 1)),
        (TimeOfDay(), "12:30:00.5", time(12, 30, 0, 500_000)),
        (Interval(), 90.5, timedelta(seconds=90.5)),
        (LargeBinary(), "AP8=", b"\x00\xff"),
        (LargeBinary(), b"\x00", b"\x00"),
        (Uuid(), "0000000000000000000000000000000a", UUID(int=10)),
        (JSON(), "text", '"text"'),
        (JSON(), {"a": None}, '{"a":null}'),
        (ARRAY(Date()), ["2024-05-01", None], [date(2024, 5, 1), None]),
        (NullType(), [1], "[1]"),
        (NullType(), 1, 1),
    ],
)
def test_a_column_takes_what_it_can(column: TypeEngine[Any], value: object, taken: object) -> None:
    found = taker(column).take(value)
    assert found == taken
    assert type(found) is type(taken)


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        (Integer(), "a", "a whole number"),
        (Integer(), 1.5, "a whole number"),
        (Integer(), math.inf, "a whole number"),
        (Integer(), [], "a whole number"),
        (Float(), "a", "a number"),
        (Numeric(), "a", "a number"),
        (Numeric(), {}, "a number"),
        (Boolean(), "yes", "true or false"),
        (Boolean(), [], "true or false"),
        (DateTime(), "yesterday", "a date and time like '2024-01-31T10:00:00'"),
        (DateTime(timezone=True), 1714564800, "a date and time like '2024-01-31T10:00:00Z'"),
        (Date(), "2024-05-01T10:00:00", "a date like '2024-01-31'"),
        (TimeOfDay(), "noon", "a time like '10:00:00'"),
        (Interval(), "1 day", "a number of seconds"),
        (LargeBinary(), "not base64!", "bytes as base64"),
        (Uuid(), "1", "a UUID"),
        (ARRAY(Integer()), "1", "a list of which each is a whole number"),
        (ARRAY(Integer()), ["a"], "a list of which each is a whole number"),
    ],
)
def test_what_a_column_does_not_take(column: TypeEngine[Any], value: object, what: str) -> None:
    found = taker(column)
    assert found.what == what
    with pytest.raises((ArithmeticError, AttributeError, LookupError, TypeError, ValueError)):
        found.take(value)


def test_what_json_cannot_have_is_said() -> None:
    with pytest.raises(RecordError, match="cannot have it as JSON: Integer exceeds 64-bit range"):
        taker(JSON()).take(10**30)


@given(
    st.one_of(
        st.tuples(st.just(DateTime()), st.datetimes()),
        st.tuples(st.just(DateTime(timezone=True)), st.datetimes(timezones=st.just(BERLIN))),
        st.tuples(st.just(Date()), st.dates()),
        st.tuples(st.just(TimeOfDay()), st.times()),
        st.tuples(st.just(LargeBinary()), st.binary()),
        st.tuples(st.just(Uuid()), st.uuids()),
        st.tuples(st.just(Numeric()), st.decimals(allow_nan=False, allow_infinity=False)),
    )
)
def test_what_is_read_can_be_written(given: tuple[TypeEngine[Any], Any]) -> None:
    column, value = given
    plain = orjson.loads(orjson.dumps(to_plain(value, "text")))
    assert taker(column).take(plain) == value


KINDS: dict[type[Database], list[tuple[str, str, Any]]] = {
    PostgresServer: [
        ("timestamptz", "'2024-05-01T12:00:00+02:00'", "2024-05-01T10:00:00+00:00"),
        ("timestamp", "'2024-05-01T12:00:00'", "2024-05-01T12:00:00"),
        ("time", "'12:30'", "12:30:00"),
        ("interval", "'1 minute'", 60.0),
        ("numeric", "1.50", 1.5),
        ("bytea", "'\\x00ff'", "AP8="),
        ("jsonb", """'{"x": [1.5]}'""", {"x": [1.5]}),
        ("uuid", "'00000000-0000-0000-0000-00000000000a'", "00000000-0000-0000-0000-00000000000a"),
        ("date[]", "'{2024-05-01}'", ["2024-05-01"]),
        ("inet", "'10.0.0.1'", "10.0.0.1"),
        ("int4range", "'[1, 5)'", "[1, 5)"),
        ("boolean", "true", True),
    ],
    MariadbServer: [
        ("timestamp", "'2024-05-01 12:00:00'", "2024-05-01T12:00:00"),
        ("datetime(3)", "'2024-05-01 12:00:00.5'", "2024-05-01T12:00:00.500000"),
        ("date", "'2024-05-01'", "2024-05-01"),
        ("time", "'12:30'", 45_000.0),
        ("decimal(5, 2)", "1.50", 1.5),
        ("blob", "x'00ff'", "AP8="),
        ("json", """'{"x": [1.5]}'""", '{"x": [1.5]}'),
        ("boolean", "true", 1),
        ("year", "2024", 2024),
    ],
    SqliteFile: [
        ("timestamp", "'2024-05-01 12:00:00'", "2024-05-01 12:00:00"),
        ("numeric", "1.50", 1.5),
        ("blob", "x'00ff'", "AP8="),
        ("json", """'{"x": [1.5]}'""", '{"x": [1.5]}'),
        ("boolean", "true", 1),
    ],
}


def test_what_drivers_really_give(database: Database) -> None:
    kinds = KINDS[type(database)]
    table = database.create_table(", ".join(f"column_{number} {kind}" for number, (kind, _, _) in enumerate(kinds)))
    database.execute(f"INSERT INTO {table} VALUES ({', '.join(literal for _, literal, _ in kinds)})")

    with closing(SqlAccount.model_validate(database.account).engine().connect()) as connection:
        result = connection.exec_driver_sql(f"SELECT * FROM {table}")
        (body,) = Plain(result.keys()).bodies(result.all())

    assert list(body.values()) == [plain for _, _, plain in kinds]
