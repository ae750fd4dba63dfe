"""Steps that ask another system, with the answers of a test in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr
from typing_extensions import Self

from flowspec.errors import RecordError
from flowspec.lookups import MISSING, Call, Caller, Finder, Key, Lookup
from flowspec.steps.asking import AskingStep

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Step

__all__ = ["answered"]


def answered(step: Step, answers: Mapping[str, Any]) -> Step:
    """The same step, that asks nobody: what `answers` does not have is missing, or fails where it is called for."""
    if not isinstance(step, AskingStep):
        return step
    asked = step.asked
    if isinstance(asked, Lookup):
        return step.model_copy(update={step.kind: _Lookup.of(asked, answers)})
    return step.model_copy(update={step.kind: _Call.of(asked, answers)}) if isinstance(asked, Call) else step


class _Lookup(Lookup):
    connector: str
    account: None = None

    _lookup: Lookup = PrivateAttr()
    _answers: Mapping[str, Any] = PrivateAttr()

    @classmethod
    def of(cls, lookup: Lookup, answers: Mapping[str, Any]) -> Self:
        """What stands for a lookup."""
        made = cls(connector=lookup.connector, into=lookup.into, missing=lookup.missing, cache=None)
        made._lookup, made._answers = lookup, answers
        return made

    @property
    def nothing(self) -> Any:
        """As of the lookup."""
        return self._lookup.nothing

    def keys(self, records: Sequence[Record]) -> Sequence[Key | RecordError]:
        """As of the lookup."""
        return self._lookup.keys(records)

    def text(self, key: Key) -> str:
        """As of the lookup."""
        return self._lookup.text(key)

    def absence(self, key: Key) -> str:
        """What to write into the test."""
        return f"the test has no answer {self.text(key)!r} for the step"

    def open(self) -> Finder:
        """What looks into the answers."""
        return _Answers(self, self._answers)


class _Call(Call):
    connector: str
    account: None = None

    _call: Call = PrivateAttr()
    _answers: Mapping[str, Any] = PrivateAttr()

    @classmethod
    def of(cls, call: Call, answers: Mapping[str, Any]) -> Self:
        """What stands for a call."""
        made = cls(connector=call.connector, into=call.into)
        made._call, made._answers = call, answers
        return made

    def text(self, record: Record) -> str:
        """As of the call."""
        return self._call.text(record)

    def open(self) -> Caller:
        """What looks into the answers."""
        return _Answers(self, self._answers)


class _Answers:
    def __init__(self, asked: _Lookup | _Call, answers: Mapping[str, Any]) -> None:
        self._text: Any = asked.text
        self._answers = answers

    def find(self, keys: Sequence[Key]) -> Sequence[Any]:
        return [self._answers.get(self._text(key), MISSING) for key in keys]

    def ask(self, records: Sequence[Record]) -> Sequence[Any]:
        return [self._answer(record) for record in records]

    def close(self) -> None:
        """Nothing is held."""

    def _answer(self, record: Record) -> Any:
        try:
            text = self._text(record)
        except RecordError as error:
            return error
        if text in self._answers:
            return self._answers[text]
        return RecordError(f"the test has no answer {text!r} for the step")
