"""Values of a cursor: their order, and how they are kept."""

from __future__ import annotations

from datetime import date, datetime, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from flowspec.errors import RecordError
from sources.http.values import plain, rank


def test_times_have_the_order_of_their_moments() -> None:
    ordered = [
        "2023-12-31",
        "2024-01-01",
        "2024-01-01T00:00:00.000000001Z",
        "2024-01-01T00:00:00.5Z",
        "2024-01-01T00:00:01Z",
        "2024-01-01T01:00:00-00:30",
        "2024-01-01T05:00:00+0300",
        "2024-01-01 02:00:01",
        "2024-01-01T23:59",
        "1e9 is no time",
    ]
    times = ordered[:-1]
    assert all(rank(earlier) < rank(later) for earlier, later in pairwise(times))
    assert {rank(each)[0] for each in times} == {"time"}
    assert rank(ordered[-1]) == ("text", ordered[-1])
    assert rank("2024-01-01T00:00:00Z") == rank("2024-01-01T01:00:00+01:00") == rank("2024-01-01")
    assert rank("2024-13-01")[0] == "text"


def test_numbers_and_texts() -> None:
    assert rank(9) < rank(10) < rank(10.5)
    assert rank("a9") > rank("a10")
    assert rank("9")[0] == "text"


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (5, 5),
        (2**63, 2**63),
        (0.5, 0.5),
        ("a", "a"),
        (datetime(2024, 1, 31, 10, tzinfo=timezone.utc), "2024-01-31T10:00:00.000000Z"),
        (date(2024, 1, 31), "2024-01-31"),
    ],
)
def test_what_is_kept(value: Any, kept: Any) -> None:
    assert plain(value) == kept


@pytest.mark.parametrize("value", [None, True, "", [], {}, 2**64, float("inf"), float("nan"), Decimal("1.5")])
def test_what_has_no_order(value: Any) -> None:
    with pytest.raises(RecordError):
        plain(value)
