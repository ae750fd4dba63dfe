"""The contracts of a connector: the models a spec is made of, and what they open on a worker.

A trigger or action is one pydantic model: the parser, the error messages, the JSON Schema, the docs and the
command line all read it. `open()` gives the object that does the work on one worker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import Field, PrivateAttr
from typing_extensions import Self

from flowspec.errors import FatalError
from flowspec.expressions import Expression
from flowspec.fields import Duration
from flowspec.formats import Decoder, Format, decoder
from flowspec.model import SpecModel
from flowspec.policies import ErrorPolicy

if TYPE_CHECKING:
    import threading

    from flowspec.delivery.health import Health
    from flowspec.records import Failure, Position, Record

__all__ = [
    "Account",
    "Action",
    "Reader",
    "Rejecter",
    "SpecModel",
    "StreamTrigger",
    "Trigger",
    "WorkerContext",
    "Writer",
]


class Account(SpecModel):
    """Connection and security parameters of one connector.

    Secrets are `SecretStr` fields: they appear in no log, error or `repr`.
    """

    _known_as: str | None = PrivateAttr(default=None)

    @property
    def known_as(self) -> str | None:
        """Its name in the accounts file; None for one that a spec has in itself."""
        return self._known_as

    @classmethod
    def of(cls, account: Self | str | None) -> Self:
        """The account that a field of a spec has; without one, what the model has by default.

        Raises:
            FatalError: the field has only the name of one.
        """
        if isinstance(account, str):
            msg = (
                f"account {account!r} is only a name; load the spec with its accounts file, or give the account itself"
            )
            raise FatalError(msg)
        return account or cls()

    def check(self) -> str:
        """Connect with it and say in a line what was found there, within ten seconds; nothing is changed.

        Raises:
            TransientError: the system cannot be reached at present; says what does not answer.
            FatalError: it cannot be used like that; says what is wrong and what to do about it.
        """
        return ""

    def named(self, name: str) -> Self:
        """The same account, known by a name."""
        account = self.model_copy()
        account._known_as = name  # noqa: SLF001 - a copy of itself
        return account


@dataclass(frozen=True)
class WorkerContext:
    """What a reader or writer is told about the worker that it works for."""

    flow: str
    worker: int
    workers: int
    stopping: threading.Event
    """Set when the flow was asked to stop; whoever waits, waits on it."""
    health: Health
    """Where the reader or writer says whether it reaches its system."""
    readers: Sequence[Reader] = ()
    """What the trigger has opened on the worker when the first record comes; for a writer that commits with it."""
    state_dir: Path = Path(".pipelines")
    """Where the flow keeps what must survive the process."""


class Reader(Protocol):
    """Reads one partition of a trigger on one worker.

    Network I/O runs on threads of the reader's own behind a bounded buffer: no method waits on a socket, `close`
    apart. Nothing is connected when a reader is opened; a system that cannot be reached yet is tried again.
    """

    def read(self, most: int, wait: float) -> list[Record]:
        """Hand over at most `most` records, waiting at most `wait` seconds for the first of them.

        Raises:
            FatalError: reading cannot go on.
            StopIteration: a finite trigger has no more records, ever.
        """
        ...

    def position(self) -> Position:
        """The position after everything that `read` has handed over; also asked for after `close`."""
        ...

    def commit(self, position: Position) -> None:
        """Take note that everything up to `position` is delivered; the system is told in the background."""
        ...

    def stop(self) -> None:
        """Take nothing more from the system, and give back what was not handed over."""
        ...

    def close(self, timeout: float) -> None:
        """Tell the system of every commit, for `timeout` seconds at most, and free everything.

        May be called again. Never raises.
        """
        ...


@runtime_checkable
class Rejecter(Protocol):
    """A reader whose system keeps what failed, in place of the dead-letter store."""

    def reject(self, records: Sequence[Record]) -> None:
        """Take note of records that failed: their commit tells the system that they are rejected.

        Records of another reader are none of its business, and one that was taken apart may come several times.
        """
        ...


class Writer(Protocol):
    """Writes the records of one sink on one worker."""

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Write records in order; on return, each is confirmed by the system or named in the answer.

        Raises:
            TransientError: nothing is known to be written; all of them are tried again after a while.
            FatalError: trying again cannot help; the flow stops and nothing of the batch is committed.
        """
        ...

    def close(self) -> None:
        """Free everything. Never raises."""
        ...


class Trigger(SpecModel, ABC):
    """What starts a flow: the first item of a spec."""

    kind: ClassVar[Literal["stream", "polling"]]
    resumes: ClassVar[bool] = False
    """Whether `open` goes on at a position that a recovery store remembers. Of others the system itself remembers what
    was delivered, and what was not comes again."""
    ends: ClassVar[bool] = False
    """Whether its data has an end."""
    identified_by: ClassVar[tuple[str, ...]] = ()
    """Names in the `meta` of its records that together tell each from all others, also when it comes again. Without
    them, or where a record lacks one, nobody can know that it came again."""
    sample_cost: ClassVar[str] = ""
    """What looking at records does in their system; a sentence, or empty where that is nothing."""

    connector: str
    event: str
    account: Account | str | None
    batch_size: Annotated[
        int,
        Field(ge=1, le=10_000, description="The most records the flow takes in one run.", examples=[500]),
    ] = 500
    external_id: Annotated[
        Expression | None,
        Field(
            description="Expression for the business key of a record, by which it is found again.",
            examples=["order_id"],
        ),
    ] = None

    def partitions(self, workers: int) -> list[str]:
        """Names of the partitions that are read at the same time; by default one for each worker."""
        return [str(index) for index in range(workers)]

    def for_state(self) -> Self:
        """The same for a flow that remembers: one that can resume at a position does."""
        return self

    @abstractmethod
    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> Reader:
        """Begin to read `partition`, at `resume` where a recovery store remembers a position."""

    def identity(self, record: Record) -> str | None:
        """What tells a record from all others, also when it comes again; None where that cannot be known."""
        values = [record.meta.get(name) for name in self.identified_by]
        return None if not values or None in values else "/".join(map(str, values))

    def check(self) -> str:
        """See that its records could be read, and say in a line what was found, within ten seconds; nothing is changed.

        Raises:
            TransientError: the system cannot be reached at present; says what does not answer.
            FatalError: nothing can be read like that; says what is wrong (no such queue, access denied), and what to
                do.
        """
        return "" if self.account is None else Account.of(self.account).check()

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """Look at the next records, at most `most`, and leave all as it was for who consumes them.

        Waits `wait` seconds at most for the first one. They are what `read` would hand over.

        Raises:
            TransientError: the system cannot be reached at present.
            FatalError: there is no looking without consuming; says why, and what to do instead.
        """
        msg = f"records of {self.connector} / {self.event} cannot be looked at without consuming them"
        raise FatalError(msg)


class StreamTrigger(Trigger):
    """A trigger of kind `stream`: the system hands its records over as they are inserted."""

    kind = "stream"

    batch_wait: Annotated[
        Duration,
        Field(
            ge=0,
            le=60,
            description="How long to gather records for a fuller batch once there is one. "
            "At 0 a batch is what is there.",
            examples=["100ms"],
        ),
    ] = 0.0
    format: Annotated[
        Format,
        Field(
            description="How the payload of a record is decoded: a name, or an object with one key, the name, that "
            "holds options.",
            examples=["json", {"csv": {"columns": ["id", "name"], "delimiter": ";"}}],
        ),
    ] = "json"

    def decoder(self) -> Decoder:
        """The function that makes a body of a payload; a trigger with formats of its own answers for them.

        Raises:
            FatalError: the format needs what the account does not have.
        """
        return decoder(self.format)


class Action(SpecModel, ABC):
    """Where records go: a sink of a spec."""

    connector: str
    action: str
    account: Account | str | None
    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]+$",
            description="Name of the sink in logs, status and dead letters; by default connector and action.",
            examples=["billing"],
        ),
    ] = None

    on_error: Annotated[
        ErrorPolicy | None,
        Field(
            description="What happens to a record that the sink refuses: like `on_error` of a step. A sink that is "
            "down is tried for as long as it takes, unless `retry` bounds the attempts. By default the flow's.",
            examples=["dead_letter"],
        ),
    ] = None

    def check(self) -> str:
        """See that records could be written, and say in a line what was found, within ten seconds; nothing is changed.

        Raises:
            TransientError: the system cannot be reached at present; says what does not answer.
            FatalError: nothing can be written like that; says what is wrong, and what to do.
        """
        return "" if self.account is None else Account.of(self.account).check()

    @property
    def commits_with_trigger(self) -> bool:
        """Whether what it writes and what the trigger has read are committed together, and nothing else is."""
        return False

    def alone(self) -> Self:
        """The same for a run without its trigger, a replay: one that commits with it does so by itself then."""
        return self

    def misfit(self, trigger: Trigger, sinks: int) -> tuple[str, str] | None:
        """A field of the sink that does not go with a trigger, or with that many sinks, and what to do about it."""
        return None

    @abstractmethod
    def open(self, context: WorkerContext) -> Writer:
        """Begin to write; nothing is connected before the first batch."""
