"""What a flow makes of the next records, shown step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from flowspec.flow.html import heading, table
from flowspec.testing.plain import plain

if TYPE_CHECKING:
    from flowspec.preview import Passage, Preview
    from flowspec.records import Record
    from flowspec.spec import FlowSpec

__all__ = ["Look", "Looked", "Step"]

Outcome: TypeAlias = Literal["passed", "dropped", "failed"]

_BEFORE_THE_STEPS = ("decode", "external_id")
_LONGEST = 200
"""Characters of a value that are shown."""
_MOST_COLUMNS = 20


@dataclass(frozen=True)
class Look:
    """A record behind a step; or before it, where it went no further."""

    number: int
    """Which of the records of the trigger it was made of, counted from 1."""
    body: Any
    outcome: Outcome
    reason: str = ""
    """Why it failed."""
    branch: str = ""
    """The branch that the step sent it to, where it has branches and one is for it."""

    @property
    def fate(self) -> str:
        """What became of it, in words."""
        branch = f" to {self.branch}" if self.branch else ""
        return f"{self.outcome}{branch}" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True)
class Step:
    """What the trigger or a step made of the records that came to it."""

    id: str
    records: tuple[Look, ...]

    def count(self, outcome: Outcome) -> int:
        """How many records had it."""
        return sum(each.outcome == outcome for each in self.records)

    def __str__(self) -> str:
        counts = [(self.count(outcome), outcome) for outcome in ("dropped", "failed")]
        more = "".join(f", {count} {outcome}" for count, outcome in counts if count)
        return f"{self.id}: {self.count('passed')} passed{more}"


class Looked:
    """The records of a preview, behind the trigger and behind each step.

    A notebook shows a table for each, a terminal lines.
    """

    def __init__(self, spec: FlowSpec, previews: Sequence[Preview], through: str | None = None) -> None:
        names = [name for name, _ in spec.named_steps()]
        shown = names if through is None else names[: names.index(through) + 1 if through in names else 0]
        self.name = spec.name
        self.steps = (
            Step("trigger", tuple(look for each in enumerate(previews, 1) for look in _received(*each))),
            *(
                Step(name, tuple(look for each in enumerate(previews, 1) for look in _made(*each, name)))
                for name in shown
            ),
        )
        self.rows = [_row(record.body) for each in previews for record in each.left]
        """What the sinks would be given, as dictionaries; a body that is none is its `body`."""

    def __repr__(self) -> str:
        return "\n".join(line for step in self.steps for line in _lines(step))

    def _repr_html_(self) -> str:
        return "\n".join(part for step in self.steps for part in (heading(str(step)), *_tables(step)))


def _received(number: int, preview: Preview) -> Iterator[Look]:
    """The record as it comes to the first step."""
    before = [passage for passage in preview.passages if passage.step in _BEFORE_THE_STEPS]
    if before and before[-1].error is not None:
        yield _failed(number, before[-1], preview.received.raw)
        return
    for record in before[-1].left if before else [preview.received]:
        yield _passed(number, record)


def _made(number: int, preview: Preview, step: str) -> Iterator[Look]:
    for passage in preview.passages:
        if passage.step != step:
            continue
        if passage.error is not None:
            yield _failed(number, passage, passage.came.body)
        elif not passage.left:
            yield Look(number, plain(passage.came.body), "dropped", branch=passage.branch or "")
        for record in passage.left:
            yield _passed(number, record, passage.branch or "")


def _passed(number: int, record: Record, branch: str = "") -> Look:
    return Look(number, plain(record.body), "passed", branch=branch)


def _failed(number: int, passage: Passage, body: Any) -> Look:
    shown = body.decode("utf-8", "backslashreplace") if isinstance(body, bytes) else plain(body)
    return Look(number, shown, "failed", str(passage.error) or type(passage.error).__name__)


def _row(body: Any) -> dict[str, Any]:
    return body if isinstance(body, dict) else {"body": body}


def _lines(step: Step) -> Iterator[str]:
    yield str(step)
    for look in step.records:
        fate = "" if look.fate == "passed" else f"{look.fate}  "
        yield f"  {look.number:>3}  {fate}{_text(look.body)}"


def _tables(step: Step) -> Iterator[str]:
    if not step.records:
        return
    bodies = [_row(look.body) for look in step.records]
    fields = list(dict.fromkeys(name for body in bodies for name in body))
    shown = fields[:_MOST_COLUMNS]
    more = ["..."] if len(fields) > len(shown) else []
    outcomes = [look.fate for look in step.records]
    yield table(
        ["", "outcome", *map(str, shown), *more],
        [
            [
                str(look.number),
                outcome,
                *(_text(body[name]) if name in body else "" for name in shown),
                *("" for _ in more),
            ]
            for look, outcome, body in zip(step.records, outcomes, bodies, strict=True)
        ],
    )


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text if text.isprintable() else json.dumps(text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
