"""Letters on their way through a flow once more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowspec.connectors import Reader
from flowspec.deadletters.letter import DeadLetter
from flowspec.deadletters.readers import LetterReader, RetryingReader, StoreLock
from flowspec.deadletters.store import LetterStore, Search
from flowspec.errors import FatalError, RecordError
from flowspec.records import Record, Trace


class OtherReader:
    """The trigger: has one record, and ends if it is told to."""

    def __init__(self, *, finite: bool = False) -> None:
        self.records = [Record(b"new", "new")]
        self.finite = finite
        self.commits: list[int] = []

    def read(self, most: int, wait: float) -> list[Record]:
        if self.records:
            return [self.records.pop()]
        if self.finite:
            raise StopIteration
        return []

    def position(self) -> int:
        return 7

    def commit(self, position: int) -> None:
        self.commits.append(position)

    def stop(self) -> None:
        """Nothing is read."""

    def close(self, timeout: float) -> None:
        """Nothing is open."""


def until_the_end(reader: Reader, most: int) -> Iterator[list[Record]]:
    """What a reader has, each batch delivered before the next one."""
    while True:
        try:
            yield reader.read(most, 0.01)
        except StopIteration:
            return
        reader.commit(reader.position())


@pytest.fixture
def store(tmp_path: Path) -> LetterStore:
    return LetterStore("orders", tmp_path)


def letter(number: int, *, next_try: float | None = 0.0, sink: str = "", identity: str | None = None) -> DeadLetter:
    record = Record(b"%d" % number, {"changed": number}, {"id": number}, "key", {"h": b"\xff"}, str(number))
    return DeadLetter(record, "map-1", RecordError("bad"), 1, 1.0, next_try, sink, identity)


def raws(records: list[Record]) -> list[bytes | str]:
    return [record.raw for record in records]


def again(record: Record, *, next_try: float | None = None) -> DeadLetter:
    return DeadLetter(record, "map-1", RecordError("still bad"), 2, 1.0, next_try)


def test_what_is_due_comes_first_as_it_was_received(store: LetterStore) -> None:
    store.add([letter(1), letter(2, next_try=None), letter(3, next_try=time.time() + 3600)])
    reader = RetryingReader(OtherReader(), store, ["out"])

    (record,) = reader.read(10, 0)

    assert (record.raw, record.body, record.key, record.external_id) == (b"1", None, "key", None)
    assert (record.meta, record.headers) == ({"id": 1}, {"h": b"\xff"})
    assert raws(reader.read(10, 0)) == [b"new"]
    assert reader.is_waiting()


def test_what_is_delivered_is_forgotten_when_all_before_is_committed(store: LetterStore) -> None:
    trigger = OtherReader()
    store.add([letter(1), letter(2)])
    reader = RetryingReader(trigger, store, [])

    assert raws(reader.read(1, 0)) == [b"1"]
    assert reader.position() == 7
    reader._look_at = 0.0
    assert raws(reader.read(1, 0)) == [b"2"], "the first one is on its way"
    reader.commit(7)

    assert trigger.commits == [7]
    assert [found.record.raw for found in store.find(Search())] == [b"2"]
    assert reader.position() == 7
    reader.commit(7)
    assert store.count(Search()) == 0


def test_what_fails_again_stays(store: LetterStore) -> None:
    store.add([letter(1), letter(2)])
    reader = RetryingReader(OtherReader(), store, [])
    first, _ = reader.read(10, 0)

    store.add([again(first)])
    reader.position()
    reader.commit(7)

    (kept,) = store.envelopes()
    assert (kept["attempts"], kept["error"]["message"], kept["next_try"]) == (2, "still bad", None)
    assert kept["first_try"] == "1970-01-01T00:00:01Z", "its first try stays"


def test_a_finite_trigger_ends_when_nothing_is_to_be_tried_again(store: LetterStore) -> None:
    reader = RetryingReader(OtherReader(finite=True), store, [])
    assert raws(reader.read(10, 0)) == [b"new"]
    store.add([letter(1, next_try=time.time() + 0.2)])
    reader._look_at = 0.0

    assert raws([record for records in until_the_end(reader, 10) for record in records]) == [b"1"]


def test_a_stop_waits_for_nothing(store: LetterStore) -> None:
    store.add([letter(1, next_try=time.time() + 3600)])
    reader = RetryingReader(OtherReader(), store, [])
    reader.read(10, 0)
    reader.stop()
    with pytest.raises(StopIteration):
        reader.read(10, 0)


def test_one_of_several_readers_takes_them(store: LetterStore) -> None:
    store.add([letter(1)])
    first, second = (RetryingReader(OtherReader(), store, []) for _ in range(2))

    assert raws(first.read(10, 0)) == [b"1"]
    assert raws(second.read(10, 0)) == [b"new"]
    assert not second.is_waiting()
    first.close(1)
    second._look_at = 0.0
    assert raws(second.read(10, 0)) == [b"1"], "the first one ended before it was committed"
    second.close(1)


@pytest.mark.parametrize(("sink", "goes_to"), [("billing", "billing"), ("removed", ""), ("", "")])
def test_a_letter_goes_to_the_sink_that_refused_it(store: LetterStore, sink: str, goes_to: str) -> None:
    store.add([letter(1, sink=sink)])
    (record,) = RetryingReader(OtherReader(), store, ["billing", "out"]).read(10, 0)
    assert record.trace is not None
    assert record.trace.letter is not None
    assert record.trace.letter.sink == goes_to


def test_a_replay_takes_what_was_there_when_it_began_once(store: LetterStore) -> None:
    store.add([letter(number, next_try=None) for number in range(250)])
    reader = LetterReader(store, store.find(Search(given_up=True)), [])

    read: list[Record] = []
    for records in until_the_end(reader, 7):
        store.add([again(record) for record in records[:1]] + [letter(1000 + len(read), next_try=None)])
        read += records

    assert sorted(raws(read)) == sorted(b"%d" % number for number in range(250))
    left = [found.record.raw for found in store.find(Search())]
    assert len(left) == 36 + 36, "those that failed again, and new ones"


def test_a_body_that_its_reader_made_is_made_again(store: LetterStore) -> None:
    record = Record(b'{"a": 1}', {"b": 2}, trace=Trace({"a": 1}))
    broken = Record(b"?", RecordError("no row"), trace=Trace(RecordError("no row")))
    store.add([DeadLetter(each, "map-1", RecordError("bad"), 1, 1.0, 0.0) for each in (record, broken)])

    first, second = RetryingReader(OtherReader(), store, []).read(10, 0)

    assert first.body == {"a": 1}
    assert isinstance(second.body, RecordError)
    assert str(second.body) == "no row"


def test_a_record_that_came_again_has_one_letter(store: LetterStore) -> None:
    store.add([letter(1, identity="m1"), letter(1, identity="m1", sink="billing"), letter(1)])
    store.add([letter(1, identity="m1"), letter(1)])

    assert store.count(Search()) == 4, "of a record without identity nobody can know"
    assert store.attempts(letter(1, identity="m1")) == 1
    assert store.attempts(letter(1)) == 0


@pytest.mark.parametrize(
    ("search", "found"),
    [
        (Search(), [1, 2, 3]),
        (Search(ids=[1, 3]), [1, 3]),
        (Search(external_id="2"), [2]),
        (Search(step="map-1", given_up=True), [3]),
        (Search(step="map-9"), []),
        (Search(since=4e9), []),
    ],
    ids=repr,
)
def test_letters_are_found(store: LetterStore, search: Search, found: list[int]) -> None:
    store.add([letter(1), letter(2), letter(3, next_try=None)])
    assert [each.id for each in store.find(search)] == found
    assert store.count(search) == len(found)


def test_the_lock_needs_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FatalError, match="cannot be used"):
        StoreLock(tmp_path / "file" / "x.lock").take()
