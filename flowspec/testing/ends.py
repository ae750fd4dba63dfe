"""A trigger and sinks in memory, in place of those of a spec."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import PrivateAttr
from typing_extensions import Self

from flowspec.connectors import Action, Reader, StreamTrigger, Trigger, WorkerContext, Writer
from flowspec.formats import Decoder, FormatName, decoder, format_name
from flowspec.policies import final_policy
from flowspec.records import Failure, Position, Record
from flowspec.spec import FlowSpec
from flowspec.stateful.contract import JoiningStep
from flowspec.steps.base import Step
from flowspec.testing.answers import answered
from flowspec.testing.plain import plain

__all__ = ["is_local", "unconnected"]


def is_local(trigger: StreamTrigger) -> bool:
    """Whether the trigger's format needs nothing besides its options, such as a schema registry."""
    return format_name(trigger.format) in get_args(FormatName)


def unconnected(
    spec: FlowSpec,
    records: Sequence[Record],
    joined: Mapping[str, Sequence[Record]],
    sinks: dict[str, list[Any]],
    answers: Mapping[str, Mapping[str, Any]],
) -> FlowSpec:
    """The same flow between `records` and lists, which get the bodies that are delivered, by the ids of the sinks.

    The other triggers of joins hand over `joined`, and steps that ask another system are given `answers`, by their ids.
    No attempt is made again after a while: a record that fails does so for good.
    """
    before: list[_Given] = []

    def alone(name: str, step: Step) -> Step:
        on_error = step.on_error and final_policy(step.on_error)
        if isinstance(step, JoiningStep):
            before.append(_given(step.other, joined[name]))
            step = step.with_other(before[-1])
        return answered(step, answers.get(name, {})).model_copy(update={"id": name, "on_error": on_error})

    update = {
        "trigger": _given(spec.trigger, records, before),
        **spec.way().changed(alone, lambda name, action: _List.of(name, action, sinks[name])),
        "on_error": final_policy(spec.on_error),
        "dead_letters": None,
        "journal": "off",
    }
    return spec.model_copy(update=update)


def _given(trigger: Trigger, records: Sequence[Record], before: Sequence[_Given] = ()) -> _Given:
    """What stands for a trigger, and hands over its records when others have ended."""
    given = (_GivenPayloads if isinstance(trigger, StreamTrigger) else _GivenBodies).of(trigger, records)
    given._before = before  # noqa: SLF001 - of this module
    return given


class _Given(Trigger):
    """Hands over records that are there, and ends."""

    ends = True

    connector: str
    event: str
    account: None = None

    _records: Sequence[Record] = PrivateAttr(default=())
    _before: Sequence[_Given] = PrivateAttr(default=())
    _ended: threading.Event = PrivateAttr(default_factory=threading.Event)

    @property
    def is_turn(self) -> bool:
        """Whether all that others hand over before is delivered."""
        return all(each.has_ended() for each in self._before)

    def has_ended(self) -> bool:
        """Whether all that it hands over is delivered."""
        return self._ended.is_set()

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
        return _Reader(self, self._records)


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
    def __init__(self, given: _Given, records: Sequence[Record]) -> None:
        self._given = given
        self._records = records
        self._read = 0

    def read(self, most: int, wait: float) -> list[Record]:
        if not self._given.is_turn:
            return []
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
        """All of it is delivered by now."""
        self._given._ended.set()  # noqa: SLF001 - of this module


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
