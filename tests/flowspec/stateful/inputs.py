"""Records that come out of order, late and twice; and the memory of a step by itself."""

from __future__ import annotations

import pickle
import random
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter

from flowspec.errors import RecordError
from flowspec.records import Record
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.steps import window
from sources.testing.windows import VALUES, Sighting

__all__ = ["MINUTE", "START", "Bench", "Outcome", "shuffled", "window_step"]

MINUTE = 60
START = 1_700_000_000 // 86_400 * 86_400
"""A midnight."""


def shuffled(
    chance: random.Random, count: int, keys: Sequence[str], *, disorder: int = 12, late: float = 0.05
) -> list[Sighting]:
    """Records whose times go on for some minutes each, out of order by `disorder` minutes at most, but for late ones.

    Every tenth comes twice, with the same id, some places later.
    """
    made: list[Sighting] = []
    at = dict.fromkeys(keys, START)
    while len(made) < count:
        key = chance.choice(keys)
        at[key] += chance.choice((0, 1, 1, 2, 3, 45 if chance.random() < 0.1 else 1)) * MINUTE
        back = chance.randrange(60, 600) if chance.random() < late else chance.randrange(disorder + 1)
        amount = None if chance.random() < 0.1 else chance.randrange(101)
        made.append(Sighting(len(made), key, at[key] - back * MINUTE, amount))
    for original in chance.sample(made, count // 10):
        place = made.index(original) + chance.randrange(1, 20)
        made.insert(place, Sighting(original.id, original.key, original.at, original.amount))
    return made


def window_step(shape: dict[str, Any], lateness: int, **more: Any) -> window.Window:
    """The step, as a spec has it."""
    spec = {"window": {"key": "customer", "time": "at", **shape, "lateness": lateness, "values": VALUES, **more}}
    return TypeAdapter(window.Window).validate_python(spec)


class Outcome:
    """What a memory did with the records that came to it."""

    def __init__(self) -> None:
        self.made: list[Record] = []
        self.absorbed: list[Record] = []
        self.dropped: list[Record] = []
        self.failed: list[tuple[Record, Exception]] = []

    def drop(self, records: Sequence[Record]) -> None:
        self.dropped += records

    def absorb(self, records: Sequence[Record]) -> None:
        self.absorbed += records

    def fail(self, record: Record, error: Exception) -> None:
        assert isinstance(error, RecordError)
        self.failed.append((record, error))


class Bench:
    """The memories of a step, one for each key, as the operator has them; they can be lost and taken up again."""

    def __init__(self, step: StatefulStep) -> None:
        self._step = step
        self._keying = step.keying()
        self.memories: dict[str, Memory[Any]] = {}
        self.outcome = Outcome()

    def take(self, bodies: Iterable[dict[str, Any]]) -> None:
        """Hand over a batch."""
        by_key: dict[str, list[Any]] = {}
        for key, item in self._keying([Record(b"", body) for body in bodies]):
            by_key.setdefault(key, []).append(item)
        for key, items in by_key.items():
            memory = self.memories.setdefault(key, self._step.memory(None, "test"))
            self.outcome.made += memory.take(items, self.outcome)
            self._tidy()

    def wake(self) -> None:
        for memory in list(self.memories.values()):
            self.outcome.made += memory.wake(self.outcome)
        self._tidy()

    def end(self) -> None:
        for memory in self.memories.values():
            self.outcome.made += memory.end(self.outcome)

    def snapshot(self) -> bytes:
        """What a recovery store would have."""
        return pickle.dumps({key: memory.snapshot() for key, memory in self.memories.items()})

    def restore(self, snapshot: bytes) -> None:
        """Begin where a snapshot was taken."""
        states = pickle.loads(snapshot)
        self.memories = {key: self._step.memory(state, "test") for key, state in states.items()}

    def _tidy(self) -> None:
        for key in [key for key, memory in self.memories.items() if memory.is_empty()]:
            del self.memories[key]
