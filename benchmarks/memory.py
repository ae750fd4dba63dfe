"""A trigger whose system is this process's memory: what is left is the cost of the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from flowspec.connectors import Account, StreamTrigger
from flowspec.records import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flowspec.connectors import WorkerContext
    from flowspec.records import Position

__all__ = ["MemoryTrigger"]


class MemoryTrigger(StreamTrigger):
    """Hands over `payloads` again and again until there were `count` records."""

    identified_by: ClassVar[tuple[str, ...]] = ("message_id",)

    connector: Literal["memory"] = "memory"
    event: Literal["listen"] = "listen"
    account: Account | str | None = None
    payloads: Annotated[tuple[bytes, ...], Field(repr=False)]
    count: int

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> _MemoryReader:
        """Begin at the first record."""
        return _MemoryReader(self.payloads, self.count)


class _MemoryReader:
    def __init__(self, payloads: Sequence[bytes], count: int) -> None:
        self._payloads = payloads
        self._count = count
        self._position = 0

    def read(self, most: int, wait: float) -> list[Record]:
        if self._position == self._count:
            raise StopIteration
        first = self._position
        start = first % len(self._payloads)
        payloads = self._payloads[start : start + min(most, self._count - first)]
        self._position += len(payloads)
        # As much as a broker says about a message.
        return [
            Record(payload, None, {"message_id": number, "receive_count": 1}, None, {})
            for number, payload in enumerate(payloads, first)
        ]

    def position(self) -> int:
        return self._position

    def commit(self, position: Position) -> None:
        pass

    def stop(self) -> None:
        pass

    def close(self, timeout: float) -> None:
        pass
