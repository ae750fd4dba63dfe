"""What the suite must know of a system to hold a sink to it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sources.testing.harness import Harness, optional

__all__ = ["Received", "SinkHarness"]


@dataclass(frozen=True)
class Received:
    """What somebody finds at the system."""

    payload: bytes
    headers: Mapping[str, Any] = field(default_factory=dict)


class SinkHarness(Harness, ABC):
    """A queue, topic, file or the like, and who reads it."""

    many: ClassVar[int] = 2_000
    """How many records the kill -9 test takes."""

    @abstractmethod
    def action(self, **fields: Any) -> dict[str, Any]:
        """The sink of a spec that writes JSON to the place, with these fields."""

    @optional
    def received(self) -> Sequence[Received]:
        """All that is there so far, in order of its arrival; what was taken out before as well."""
        raise NotImplementedError

    @property
    @optional
    def headers_field(self) -> str:
        """The field that has the headers of what is written, as templates by their names."""
        raise NotImplementedError

    @property
    @optional
    def ordered(self) -> dict[str, Any]:
        """The fields with which records that have the same `group` in their body are written in order."""
        raise NotImplementedError

    @property
    @optional
    def too_large(self) -> int:
        """Bytes of a payload that the system does not take."""
        raise NotImplementedError

    @property
    @optional
    def upserting(self) -> dict[str, Any]:
        """The fields with which a record replaces the one before with the same `id`."""
        raise NotImplementedError

    @property
    @optional
    def gathering(self) -> dict[str, Any]:
        """The fields with which the sink itself gathers ten records before it writes them."""
        raise NotImplementedError

    @optional
    def stall(self) -> None:
        """Let nothing through the proxy; connections stay open."""
        raise NotImplementedError

    @optional
    def resume(self) -> None:
        """Let everything through again."""
        raise NotImplementedError
