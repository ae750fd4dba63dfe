"""What is packed is unpacked as it was."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowspec.deadletters import faithful

TEXTS = st.text(st.characters(exclude_categories=()))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | TEXTS
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.datetimes(timezones=st.just(timezone.utc))
    | st.dates()
    | st.times()
    | st.uuids()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(TEXTS | st.integers(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_any_value_comes_back(value: Any) -> None:
    assert faithful.loads(faithful.dumps(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        {"$int": "7"},
        {"$bytes": "not base64"},
        {"$pairs": []},
        {1: "a", "1": "b"},
        datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=2))),
        date(2026, 1, 2),
        time(1, 2, 3),
        Decimal("1.50"),
        UUID(int=7),
        10**40,
        float("-inf"),
        "\ud800",
        b"\xff",
    ],
    ids=repr,
)
def test_what_json_has_not(value: Any) -> None:
    kept = faithful.loads(faithful.dumps({"a": [value]}))["a"][0]
    assert (kept, type(kept)) == (value, type(value))


def test_not_a_number_stays_none() -> None:
    assert str(faithful.loads(faithful.dumps(float("nan")))) == "nan"


def test_what_has_no_type_that_is_known_is_text() -> None:
    assert faithful.loads(faithful.dumps([object, (1, 2)])) == [str(object), [1, 2]]
