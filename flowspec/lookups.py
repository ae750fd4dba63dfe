"""The contracts of what a step asks another system, and what a connector opens for it on a worker."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeAlias

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from flowspec.connectors import Account
from flowspec.errors import FlowError, RecordError
from flowspec.fields import Duration
from flowspec.model import SpecModel
from flowspec.steps.bodies import FieldPath

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["MISSING", "Asked", "CacheOptions", "Call", "Caller", "Finder", "Key", "Lookup", "evaluated"]

Key: TypeAlias = Hashable
"""What is looked up: equal keys have equal values."""


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()
"""What a system has for a key that it does not know."""


class Asked(SpecModel, ABC):
    """The part of a step that a connector does: which system is asked, as whom, and what."""

    connector: str
    account: Account | str | None

    def check(self) -> str:
        """See that it could be asked, and say in a line what was found, within ten seconds; nothing is changed.

        Raises:
            TransientError: the system cannot be reached at present; says what does not answer.
            FatalError: it cannot be asked like that; says what is wrong, and what to do.
        """
        return "" if self.account is None else Account.of(self.account).check()

    @model_serializer(mode="wrap", when_used="json")
    def _written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """As a spec has it: an account of the accounts file is its name."""
        written = {"connector": self.connector, **dump(self)}
        if isinstance(self.account, Account) and self.account.known_as is not None:
            written["account"] = self.account.known_as
        return written


class CacheOptions(SpecModel):
    """What was found is remembered for a while, on each worker for itself."""

    ttl: Annotated[
        Duration,
        Field(gt=0, description="For how long what was found is taken for what is there.", examples=["5m"]),
    ] = 60.0
    missing_ttl: Annotated[
        Duration,
        Field(ge=0, description="For how long a key that was not found is taken for missing.", examples=["1s"]),
    ] = 10.0
    entries: Annotated[
        int,
        Field(
            ge=1,
            le=10_000_000,
            description="The most keys that are remembered; those that were not used for longest are forgotten.",
            examples=[100_000],
        ),
    ] = 10_000


class Finder(Protocol):
    """Looks keys up in a system, for one worker."""

    def find(self, keys: Sequence[Key]) -> Sequence[Any]:
        """What the system has for each of distinct keys, `MISSING`, or the error of that key.

        A `TransientError` has the key looked up again after a while, a `RecordError` is one of the records with it,
        and a `FatalError` stops the flow.

        Raises:
            TransientError: none of them can be looked up at present.
            FatalError: none of them ever can.
        """
        ...

    def close(self) -> None:
        """Free everything. Never raises."""
        ...


class Lookup(Asked):
    """What `enrich` asks a system: what it has for a key."""

    into: Annotated[
        FieldPath,
        Field(
            description="Field of the body for what is found, in place of one that is there; `order.customer` is one "
            "of an object in the body.",
            examples=["customer"],
        ),
    ]
    missing: Annotated[
        Literal["fail", "null", "drop"],
        Field(
            description="What becomes of a record for whose key there is nothing: it fails, its field is null, or it "
            "is dropped.",
            examples=["null"],
        ),
    ] = "fail"
    cache: Annotated[
        CacheOptions | None,
        Field(
            description="How long, and of how many keys, it is remembered what was found; null to ask each time.",
            examples=[{"ttl": "5m", "entries": 100_000}],
        ),
    ] = Field(default_factory=CacheOptions)

    @property
    def nothing(self) -> Any:
        """What the field is where there is nothing, and that is fine."""
        return None

    @abstractmethod
    def keys(self, records: Sequence[Record]) -> Sequence[Key | RecordError]:
        """The key of each record; None for one that nothing can be found for, an error for one that has no key."""

    @abstractmethod
    def text(self, key: Key) -> str:
        """How the answers of a test name a key."""

    @abstractmethod
    def absence(self, key: Key) -> str:
        """What is said of a key for which there is nothing."""

    @abstractmethod
    def open(self) -> Finder:
        """What looks keys up; nothing is connected before the first.

        Raises:
            MissingDependencyError: it needs a package that is not installed.
            FatalError: the account is only a name.
        """


class Caller(Protocol):
    """Makes the calls of one worker."""

    def ask(self, records: Sequence[Record]) -> Sequence[Any]:
        """What the system answers about each record, or the error of that one, as `Finder.find` has them."""
        ...

    def close(self) -> None:
        """Free everything. Never raises."""
        ...


class Call(Asked):
    """What `call` asks a system: something about each record."""

    into: Annotated[
        FieldPath | None,
        Field(
            description="Field of the body for the answer, in place of one that is there; `order.answer` is one of an "
            "object in the body. Without it the body stays as it is.",
            examples=["answer"],
        ),
    ] = None

    @abstractmethod
    def text(self, record: Record) -> str:
        """How the answers of a test name the call of a record.

        Raises:
            RecordError: the record has nothing to make one of.
        """

    @abstractmethod
    def open(self) -> Caller:
        """What makes the calls; nothing is connected before the first.

        Raises:
            MissingDependencyError: it needs a package that is not installed.
            FatalError: the account is only a name.
        """


class _Evaluated(Protocol):
    """An expression, template, or several of them."""

    @property
    def values(self) -> Callable[[Sequence[Any]], Sequence[Any]]: ...

    @property
    def value(self) -> Callable[[Any], Any]: ...


def evaluated(written: _Evaluated, records: Sequence[Record]) -> Sequence[Any]:
    """What an expression or template makes of each record, or why it makes nothing of it."""
    try:
        return written.values(records)
    except RecordError:
        return [_alone(written, record) for record in records]


def _alone(written: _Evaluated, record: Record) -> Any:
    try:
        return written.value(record)
    except FlowError as error:
        return error
