from __future__ import annotations

import threading
import time

import pytest

from flowspec.delivery.buffer import Buffer
from flowspec.errors import FatalError

LONG = 10.0


def filled(*items: str, size: int = 1, count: float = float("inf"), most_bytes: float = float("inf")) -> Buffer[str]:
    buffer: Buffer[str] = Buffer(count, most_bytes)
    buffer.put((item, size) for item in items)
    return buffer


def test_takes_the_oldest_first_and_no_more_than_asked_for() -> None:
    buffer = filled("a", "b", "c")
    assert buffer.take(2, wait=0) == ["a", "b"]
    assert len(buffer) == 1
    assert buffer.take(2, wait=0) == ["c"]
    assert buffer.take(2, wait=0) == []


def test_an_empty_buffer_is_waited_for() -> None:
    buffer: Buffer[str] = Buffer()
    started = time.monotonic()
    assert buffer.take(1, wait=0.05) == []
    assert time.monotonic() - started >= 0.05


def test_an_item_that_comes_ends_the_wait() -> None:
    buffer: Buffer[str] = Buffer()
    timer = threading.Timer(0.02, buffer.put, args=([("a", 1)],))
    timer.start()
    assert buffer.take(10, wait=LONG) == ["a"]
    timer.join()


def test_items_wait_for_company() -> None:
    buffer = filled("a")
    assert buffer.take(2, wait=0, gather=LONG) == []
    buffer.put([("b", 1)])
    assert buffer.take(2, wait=0, gather=LONG) == ["a", "b"]


def test_the_oldest_item_ends_the_gathering() -> None:
    buffer = filled("a")
    assert buffer.take(2, wait=LONG, gather=0.02) == ["a"]


def test_room_is_reserved_by_count() -> None:
    buffer = filled("a", count=3)
    assert buffer.reserve(2, timeout=0)
    assert not buffer.reserve(1, timeout=0), "one is here and two are on their way"
    buffer.put([("b", 1)])
    buffer.release(2)
    assert buffer.reserve(1, timeout=0)
    assert not buffer.reserve(1, timeout=0)


def test_there_is_no_room_while_the_bytes_are_used_up() -> None:
    buffer = filled("a", "b", size=50, most_bytes=100)
    assert not buffer.reserve(1, timeout=0)
    buffer.take(1, wait=0)
    assert buffer.reserve(1, timeout=0)


def test_a_batch_counts_by_what_is_left_of_it() -> None:
    buffer: Buffer[str] = Buffer(10, 100)
    buffer.put_batch(["a", "b", "c", "d"], 120)
    assert not buffer.reserve(1, timeout=0)
    assert buffer.take(1, wait=0) == ["a"]
    assert buffer.reserve(1, timeout=0), "90 bytes are left"
    buffer.put_batch(["e"], 10)
    assert not buffer.reserve(1, timeout=0)
    assert buffer.take(10, wait=0) == ["b", "c", "d", "e"]
    assert buffer.reserve(9, timeout=0)


def test_nothing_is_no_batch() -> None:
    buffer: Buffer[str] = Buffer()
    buffer.put_batch([], 0)
    assert buffer.take(1, wait=0) == []


def test_what_is_ready_stays_until_it_is_taken() -> None:
    buffer = filled("a")
    assert not buffer.ready(2, wait=0, gather=LONG)
    assert buffer.ready(1, wait=0)
    assert buffer.take(1, wait=0) == ["a"]
    assert not buffer.ready(1, wait=0)
    buffer.fail(FatalError("no such queue"))
    with pytest.raises(FatalError, match="no such queue"):
        buffer.ready(1, wait=0)


def test_taking_makes_room_for_who_waits() -> None:
    buffer = filled("a", count=1)
    reserved: list[bool] = []
    waiting = threading.Thread(target=lambda: reserved.append(buffer.reserve(1, timeout=LONG)))
    waiting.start()
    assert buffer.take(1, wait=0) == ["a"]
    waiting.join()
    assert reserved == [True]


def test_the_bound_holds_with_many_threads() -> None:
    buffer: Buffer[int] = Buffer(count=20)
    stopping = threading.Event()
    most = 0

    def receive() -> None:
        while not stopping.is_set():
            if buffer.reserve(10, timeout=0.01):
                buffer.put((number, 1) for number in range(10))
                buffer.release(10)

    receivers = [threading.Thread(target=receive) for _ in range(4)]
    for receiver in receivers:
        receiver.start()
    taken = 0
    while taken < 2000:
        most = max(most, len(buffer))
        taken += len(buffer.take(7, wait=0.1))
    stopping.set()
    for receiver in receivers:
        receiver.join()
    assert 0 < most <= 20


def test_a_failure_is_raised_even_while_items_keep_coming() -> None:
    buffer = filled("a", "b")
    buffer.fail(FatalError("no such queue"))
    buffer.fail(FatalError("a consequence"))
    for _ in range(2):
        buffer.put([("c", 1)])
        with pytest.raises(FatalError, match="no such queue"):
            buffer.take(1, wait=0)


def test_a_failure_ends_the_wait() -> None:
    buffer: Buffer[str] = Buffer()
    timer = threading.Timer(0.02, buffer.fail, args=(FatalError("access denied"),))
    timer.start()
    with pytest.raises(FatalError, match="access denied"):
        buffer.take(1, wait=LONG)
    timer.join()


def test_clear_takes_everything_and_makes_room() -> None:
    buffer = filled("a", "b", size=50, count=2, most_bytes=100)
    assert buffer.clear() == ["a", "b"]
    assert len(buffer) == 0
    assert buffer.reserve(2, timeout=0)
