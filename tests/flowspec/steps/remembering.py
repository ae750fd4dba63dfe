"""A step that remembers, driven through a time that the test makes, with restarts where it wants them."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from flowspec.errors import RecordError
from flowspec.expressions.clock import fixed_clock
from flowspec.records import Record
from flowspec.stateful.contract import Memory, StatefulStep

__all__ = ["Remembering", "records_of"]

START = datetime(2024, 5, 1, tzinfo=timezone.utc)


class Remembering:
    """What Bytewax does with a step, without Bytewax."""

    def __init__(self, step: StatefulStep) -> None:
        self.step = step
        self.now = 0
        """Microseconds since the start."""
        self.left: list[tuple[int, Record]] = []
        """What went on, and when."""
        self.failed: list[tuple[Record, str]] = []
        self.absorbed: list[Record] = []
        self.dropped: list[Record] = []
        self.states: dict[str, bytes] = {}
        """What is stored."""
        self._memories: dict[str, Memory[Any]] = {}

    def give(self, *records: Record) -> list[Record]:
        """Hand records over as one batch; answers what goes on."""
        keyed: dict[str, list[Any]] = {}
        for record in records:
            try:
                ((key, item),) = self.step.keying()([record])
            except RecordError as error:
                self.failed.append((record, str(error)))
            else:
                keyed.setdefault(key, []).append(item)
        with self._at(self.now):
            return [record for key, items in keyed.items() for record in self._took(key, items)]

    def bodies(self) -> list[Any]:
        return [record.body for _, record in self.left]

    def until(self, now: int) -> None:
        """Let time go by; whoever is due is woken, to the microsecond."""
        while True:
            due = [(due, key) for key, memory in self._memories.items() if (due := self._due(memory)) is not None]
            at, key = min(due, default=(now + 1, ""))
            if at > now:
                break
            self.now = max(self.now, at)
            with self._at(self.now):
                self._went(key, self._memories[key].wake(self))
                # Otherwise it would be woken for ever.
                memory = self._memories.get(key)
                assert memory is None or (self._due(memory) or now + 1) > self.now
        self.now = now

    def again(self, key: str, record: Record) -> Record:
        """Hand over a record that was here and failed later."""
        with self._at(self.now):
            memory = self._memory(key)
            gone = memory.again(record)
            self._went(key, [])
        return gone

    def end(self) -> None:
        with self._at(self.now):
            for key in list(self._memories):
                self._went(key, self._memories[key].end(self))

    def restart(self, step: StatefulStep | None = None) -> None:
        """Forget all but what is stored."""
        self.step = step or self.step
        with self._at(self.now):
            self._memories = {key: self.step.memory(pickle.loads(each), "step-1") for key, each in self.states.items()}

    def drop(self, records: Sequence[Record]) -> None:
        self.dropped += records

    def absorb(self, records: Sequence[Record]) -> None:
        self.absorbed += records

    def fail(self, record: Record, error: Exception) -> None:
        self.failed.append((record, str(error)))

    def _memory(self, key: str) -> Memory[Any]:
        return self._memories.setdefault(key, self.step.memory(None, "step-1"))

    def _took(self, key: str, items: list[Any]) -> list[Record]:
        self._memories[key] = memory = self._memory(key)
        return self._went(key, memory.take(items, self))

    def _went(self, key: str, records: list[Record]) -> list[Record]:
        self.left += [(self.now, record) for record in records]
        memory = self._memories[key]
        self.states[key] = pickle.dumps(memory.snapshot())
        if memory.is_empty():
            del self._memories[key], self.states[key]
        return records

    def _at(self, now: int) -> Any:
        return fixed_clock(START + timedelta(microseconds=now))

    def _due(self, memory: Memory[Any]) -> int | None:
        due = memory.due()
        # A float is not exact to the microsecond: Bytewax rounds as well.
        return None if due is None else (datetime.fromtimestamp(due, timezone.utc) - START) // timedelta(microseconds=1)


def records_of(*bodies: Any) -> list[Record]:
    return [Record(str(number).encode(), body, {"n": number}) for number, body in enumerate(bodies)]
