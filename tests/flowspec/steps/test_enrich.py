"""The step and its cache, on a system in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Expression
from flowspec.lookups import MISSING, Finder, Key, Lookup, evaluated
from flowspec.records import Record
from flowspec.registry import register
from flowspec.steps.cache import Cache
from flowspec.steps.enrich import Enrich, Enriching


@register
class Shelf(Lookup):
    """A system for the tests."""

    connector: str = "test-shelf"
    account: None = None

    def keys(self, records: Sequence[Record]) -> Sequence[Key | RecordError]:
        return evaluated(Expression("ref"), records)

    def text(self, key: Key) -> str:
        return str(key)

    def absence(self, key: Key) -> str:
        return f"no {key}"

    def open(self) -> Finder:
        return Found()


class Found:
    """Finds the doubles of numbers below 100."""

    def __init__(self) -> None:
        self.asked: list[list[Any]] = []
        self.errors: dict[Key, Exception] = {}
        self.down: Exception | None = None
        self.closed = False

    def find(self, keys: Sequence[Any]) -> Sequence[Any]:
        self.asked.append(list(keys))
        if self.down is not None:
            raise self.down
        return [self.errors.get(key, key * 2 if key < 100 else MISSING) for key in keys]

    def close(self) -> None:
        self.closed = True


class Bench:
    """A step with a clock that stands still."""

    def __init__(self, **fields: Any) -> None:
        self.now = 0.0
        self.finder = Found()
        lookup = Shelf.model_validate({"into": "found", **fields})
        self.asker = Enriching(lookup, self.finder, lambda: self.now)

    def ask(self, *keys: Any) -> list[Any]:
        outcomes = self.asker.ask([Record("", {"ref": key}) for key in keys])
        return [each.body["found"] if isinstance(each, Record) else each for each in outcomes]


def test_a_key_is_asked_for_once_in_a_while() -> None:
    bench = Bench(cache={"ttl": "1m", "missing_ttl": "10s"}, missing="null")
    assert bench.ask(1, 2, 1, 100) == [2, 4, 2, None]
    assert bench.ask(2, 1, 3, 100) == [4, 2, 6, None]
    assert bench.finder.asked == [[1, 2, 100], [3]]

    bench.now = 9.99
    bench.ask(100)
    assert len(bench.finder.asked) == 2
    bench.now = 10.0
    bench.ask(100, 1)
    assert bench.finder.asked[2:] == [[100]]

    bench.now = 59.99
    bench.ask(1, 3)
    assert len(bench.finder.asked) == 3
    bench.now = 60.0
    bench.ask(1, 3)
    assert bench.finder.asked[3:] == [[1, 3]]


def test_without_a_cache_each_batch_asks_for_its_keys() -> None:
    bench = Bench(cache=None)
    assert bench.ask(1, 1) == bench.ask(1, 1) == [2, 2]
    assert bench.finder.asked == [[1], [1]]


def test_the_cache_is_bounded_and_forgets_what_was_not_used_for_longest() -> None:
    bench = Bench(cache={"entries": 3})
    assert bench.ask(*range(10)) == [key * 2 for key in range(10)]
    assert len(bench.asker._cache or "") == 3

    bench.ask(7)
    bench.ask(50)
    bench.finder.asked.clear()
    bench.ask(7, 9, 50, 8)
    assert bench.finder.asked == [[8]]


def test_errors_are_not_remembered() -> None:
    bench = Bench()
    bench.finder.errors = {1: TransientError("down"), 2: RecordError("bad")}
    down, bad, good = bench.ask(1, 2, 3)
    assert (str(down), str(bad), good) == ("down", "bad", 6)
    bench.finder.errors = {}
    assert bench.ask(1, 2, 3) == [2, 4, 6]
    assert bench.finder.asked == [[1, 2, 3], [1, 2]]


@pytest.mark.parametrize("error", [TransientError("down"), FatalError("wrong")])
def test_an_error_of_all_keys_spares_what_is_remembered(error: Exception) -> None:
    bench = Bench()
    bench.ask(1)
    bench.finder.down = error
    assert bench.ask(1, 2, 3) == [2, error, error]


def test_what_becomes_of_a_record_without_a_value() -> None:
    (error, null) = Bench().ask(100, None)
    assert (str(error), str(null)) == ("no 100", "the key is null")
    assert Bench(missing="null").ask(100, None) == [None, None]
    assert Bench(missing="drop").ask(100, None) == [None, None]
    bench = Bench()
    assert [type(each) for each in bench.asker.ask([Record("", {}), Record("", {"ref": 1})])] == [RecordError, Record]


def test_where_the_value_goes() -> None:
    bench = Bench(into="order.customer")
    bodies: list[Any] = [{"ref": 1}, {"ref": 1, "order": {"id": 2, "customer": 3}}, {"ref": 1, "order": 7}]
    first, second, failed = bench.asker.ask([Record("", body) for body in bodies])
    assert isinstance(first, Record)
    assert first.body == {"ref": 1, "order": {"customer": 2}}
    assert isinstance(second, Record)
    assert second.body == {"ref": 1, "order": {"id": 2, "customer": 2}}
    assert "'customer' cannot be put into" in str(failed)
    assert bodies[1] == {"ref": 1, "order": {"id": 2, "customer": 3}}


def test_it_is_closed() -> None:
    bench = Bench()
    bench.asker.close()
    assert bench.finder.closed


def test_a_step_knows_whom_it_asks() -> None:
    step = Enrich.model_validate({"enrich": {"connector": "test-shelf", "into": "found"}})
    assert isinstance(step.asked, Shelf)
    assert step.model_dump(mode="json", exclude_defaults=True) == {
        "enrich": {"connector": "test-shelf", "into": "found"}
    }
    with pytest.raises(ValidationError, match="'test-shel'; did you mean 'test-shelf'"):
        Enrich.model_validate({"enrich": {"connector": "test-shel", "into": "found"}})


def test_entries_of_a_cache_have_times_of_their_own() -> None:
    now = 0.0
    cache: Cache[str] = Cache(2, lambda: now)
    cache.put("a", "1", 5)
    cache.put("b", "2", 1)
    now = 1.0
    assert (cache.get("a", "-"), cache.get("b", "-")) == ("1", "-")
    assert len(cache) == 1
    cache.put("a", "3", 1)
    now = 1.5
    assert cache.get("a", "-") == "3"
    now = 2.0
    assert cache.get("a", "-") == "-"
