"""What is new, without a server: a listing is made up, and objects appear in it late."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sources.amazon_s3.bucket import Stored
from sources.amazon_s3.progress import Order, Progress, beginning


def stored(key: str, second: float, etag: str = "e") -> Stored:
    return Stored(key, etag, 1, datetime.fromtimestamp(second, timezone.utc))


def sweep(progress: Progress, objects: list[Stored], most: int = 1_000_000, now: int = 1_000_000) -> list[Stored]:
    """Read what is new, as the poller does; fewer than all there is where there are more than `most`."""
    if not progress.at:
        progress.begin_sweep(now)
    found: list[Stored] = []
    for each in sorted(objects, key=lambda each: each.key):
        if len(found) == most:
            return found
        if each.key > progress.at and progress.is_new(each):
            found.append(each)
            progress.add(each)
    progress.end_sweep()
    return found


def saved(progress: Progress, order: Order, lag: int) -> Progress:
    """The same after a restart."""
    return Progress(order, lag, json.loads(json.dumps(progress.state())))


_upload = st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(0, 5))
"""A key, the second in which an upload begins, and how much later the object appears."""


@settings(max_examples=50)
@given(st.lists(_upload, max_size=20), st.lists(st.integers(0, 30), max_size=10), st.sampled_from([1, 3, 1000]))
def test_each_version_is_read_once_however_late_it_appears_within_the_lag(
    uploads: list[tuple[str, int, int]], polls: list[int], most: int
) -> None:
    progress = Progress("modified", 5, {})
    read: list[Stored] = []
    seen: set[Stored] = set()
    bucket: dict[str, Stored] = {}
    for poll in [*sorted(polls), *[100] * 40]:
        for number, (key, begun, late) in sorted(enumerate(uploads), key=lambda each: each[1][1] + each[1][2]):
            if begun + late <= poll:
                bucket[key] = stored(key, 1000 + begun, str(number))
        seen.update(bucket.values())
        read += sweep(progress, list(bucket.values()), most, 1000 + poll)
        progress = saved(progress, "modified", 5)

    assert len(read) == len(set(read)), "twice"
    assert set(bucket.values()) <= set(read), "missed"
    assert most < 1000 or seen == set(read), (
        "what is replaced before it is reached is the only thing that may be missed"
    )


def test_a_sweep_may_take_longer_than_the_lag() -> None:
    progress = Progress("modified", 5, {})
    early, late = [stored("a", 1000), stored("c", 1000)], [stored("b", 1001), stored("c", 1600, "new")]

    assert sweep(progress, early, most=1, now=1000) == early[:1]
    progress = saved(progress, "modified", 5)
    assert sweep(progress, [early[0], late[1]], now=1600) == late[1:]
    assert sweep(progress, [early[0], *late], now=1601) == late[:1], "it appeared behind what was read"


def test_what_is_remembered_is_bounded_by_the_lag() -> None:
    progress = Progress("modified", 10, {})
    objects = [stored(f"{number:06}", number / 20) for number in range(4_000)]

    for first in range(0, 4_000, 100):
        assert len(sweep(progress, objects[: first + 100])) == 100

    assert sum(map(len, progress.state()["read"].values())) <= 11 * 20
    assert sweep(progress, objects) == []


def test_a_first_sweep_remembers_no_more_than_later_ones() -> None:
    progress = Progress("modified", 10, {})
    objects = [stored(f"{number * 7919 % 20_000:06}", number / 20) for number in range(20_000)]

    assert len(sweep(progress, objects)) == 20_000

    assert sum(map(len, progress.state()["read"].values())) <= 11 * 20
    assert sweep(progress, objects) == []


def test_an_object_that_is_replaced_comes_again() -> None:
    progress = Progress("modified", 60, {})
    assert sweep(progress, [stored("a", 100)]) == [stored("a", 100)]

    assert sweep(progress, [stored("a", 100.5, "other")]) == [stored("a", 100.5, "other")]
    assert sweep(progress, [stored("a", 130, "other")]) == [stored("a", 130, "other")], "the same content, put again"
    assert sweep(progress, [stored("a", 130.9, "other")]) == [], "a fraction of a second is not told by all servers"


def test_the_last_object_may_be_deleted() -> None:
    progress = Progress("modified", 0, {})
    sweep(progress, [stored("a", 100), stored("b", 200)])

    assert sweep(progress, [stored("a", 100)]) == []
    assert sweep(progress, []) == []
    assert sweep(progress, [stored("a", 100), stored("c", 200)]) == [stored("c", 200)], "of the same second"


def test_keys_that_grow_need_no_memory() -> None:
    progress = Progress("key", 0, {})
    objects = [stored(f"{number:06}", number) for number in range(100)]

    assert sweep(progress, objects[:50]) == objects[:50]
    assert progress.state() == {"since": 0, "at": "000049"}
    assert sweep(saved(progress, "key", 0), objects) == objects[50:]


@pytest.mark.parametrize("order", ["modified", "key"])
def test_what_was_there_before_is_not_read(order: Order) -> None:
    progress = Progress(order, 3600, {"since": 100})

    assert sweep(progress, [stored("a", 99), stored("b", 100)]) == [stored("b", 100)]
    assert sweep(progress, [stored("a", 99), stored("b", 100), stored("c", 101)]) == [stored("c", 101)]


@pytest.mark.parametrize(
    ("order", "since", "state"),
    [
        ("modified", "beginning", {}),
        ("modified", "now", None),
        ("modified", "2024-05-01T02:00:00+02:00", {"since": 1714521600}),
        ("key", "orders/7", {"at": "orders/7"}),
        ("key", "now", None),
    ],
)
def test_where_a_flow_begins(order: Order, since: str, state: Any) -> None:
    assert beginning(order, since) == state


@pytest.mark.parametrize(("order", "since"), [("modified", "today"), ("modified", "2024-05-01T00:00"), ("key", 5)])
def test_a_beginning_that_is_none_is_said(order: Order, since: Any) -> None:
    with pytest.raises(ValueError, match="is nothing to begin at: give 'now', 'beginning', or a "):
        beginning(order, since)
