"""A trigger and sinks in memory, in place of those of a spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import PrivateAttr
from typing_extensions import Self

from flowspec.connectors import Action, Reader, StreamTrigger, Trigger, WorkerContext, Writer
from flowspec.formats import Decoder, FormatName, decoder, format_name
from flowspec.policies import final_policy
from flowspec.records import Failure, Position, Record
from flowspec.spec import FlowSpec
from flowspec.testing.plain import plain

__all__ = ["is_local", "unconnected"]


def is_local(trigger: StreamTrigger) -> bool:
    """Whether the trigger's format needs nothing besides its options, such as a schema registry."""
    return format_name(trigger.format) in get_args(FormatName)


def unconnected(spec: FlowSpec, records: Sequence[Record], sinks: dict[str, list[Any]]) -> FlowSpec:
    """The same flow between `records` and lists, which get the bodies that are delivered, by the ids of the sinks.

    No attempt is made again after a while: a record that fails does so for good.
    """
    given = _GivenPayloads if isinstance(spec.trigger, StreamTrigger) else _GivenBodies
    steps = [step.model_copy(update={"on_error": step.on_error and final_policy(step.on_error)}) for step in spec.steps]
    update = {
        "trigger": given.of(spec.trigger, records),
        "steps": steps,
        "sinks": [_List.of(name, action, sinks[name]) for name, action in spec.named_sinks()],
        "on_error": final_policy(spec.on_error),
        "dead_letters": None,
        "journal": "off",
    }
    return spec.model_copy(update=update)


class _Given(Trigger):
    """Hands over records that are there, and ends."""

    connector: str
    event: str
    account: None = None

    _records: Sequence[Record] = PrivateAttr(default=())

    @classmethod
    def of(cls, trigger: Trigger, records: Sequence[Record], **fields: Any) -> Self:
        """What stands for a trigger."""
        given = cls(
            connector=trigger.connector,
            event=trigger.event,
            batch_size=trigger.batch_size,
            external_id=trigger.external_id,
            **fields,
        )
        given._records = records
        return given

    def partitions(self, workers: int) -> list[str]:
        """All of them in order."""
        return ["given"]

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> Reader:
        """Begin with the first."""
        context.health.up()
        return _Reader(self._records)


class _GivenBodies(_Given):
    """Records that have their bodies."""

    kind = "polling"


class _GivenPayloads(_Given, StreamTrigger):
    """Records whose payloads are decoded, where that needs another system as JSON."""

    kind = "stream"

    _decode: Decoder = PrivateAttr(default=decoder("json"))

    @classmethod
    def of(cls, trigger: Trigger, records: Sequence[Record], **fields: Any) -> Self:
        """What stands for a stream trigger."""
        if not isinstance(trigger, StreamTrigger) or not is_local(trigger):
            return super().of(trigger, records, **fields)
        given = super().of(trigger, records, format=trigger.format, **fields)
        given._decode = trigger.decoder()  # noqa: SLF001 - a part of itself
        return given

    def decoder(self) -> Decoder:
        """The function that makes a body of a payload."""
        return self._decode


class _Reader:
    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self._read = 0

    def read(self, most: int, wait: float) -> list[Record]:
        records = list(self._records[self._read : self._read + most])
        if not records:
            raise StopIteration
        self._read += len(records)
        return records

    def position(self) -> int:
        return self._read

    def commit(self, position: Position) -> None:
        """Nobody is told."""

    def stop(self) -> None:
        self._records = ()

    def close(self, timeout: float) -> None:
        """Nothing is held."""


class _List(Action):
    """A list of bodies, as what JSON has."""

    connector: str
    action: str
    account: None = None

    _written: list[Any] = PrivateAttr()

    @classmethod
    def of(cls, name: str, action: Action, written: list[Any]) -> _List:
        """The list that stands for a sink."""
        sink = cls(connector=action.connector, action=action.action, id=name)
        sink._written = written
        return sink

    def open(self, context: WorkerContext) -> Writer:
        """Begin to write."""
        context.health.up()
        return _ListWriter(self._written)


class _ListWriter:
    def __init__(self, written: list[Any]) -> None:
        self._written = written

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        self._written += [plain(record.body) for record in records]
        return []

    def close(self) -> None:
        """Nothing is held."""
