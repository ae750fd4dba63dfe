"""What of a test does not go with the flow that it is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from flowspec.connectors import StreamTrigger, Trigger
from flowspec.expressions.errors import nearest
from flowspec.formats import format_name
from flowspec.loading.document import Document
from flowspec.loading.problems import Path, Problem
from flowspec.spec import FlowSpec
from flowspec.stateful.contract import JoiningStep
from flowspec.steps.asking import AskingStep
from flowspec.testing.ends import is_local
from flowspec.testing.model import Given, SpecTest

__all__ = ["mistakes"]


def mistakes(spec: FlowSpec, test: SpecTest, document: Document, index: int) -> Iterator[Problem]:
    """The problems of the test at a place of a document, below `tests`."""
    here: Path = ("tests", index)
    yield from _wrong_contents(spec.trigger, test.given, document, (*here, "given"))
    joins = {name: step for name, step in spec.named_steps() if isinstance(step, JoiningStep)}
    for name, records in test.joined.items():
        if name in joins:
            yield from _wrong_contents(joins[name].other, records, document, (*here, "joined", name))
        else:
            yield _unknown(document, (*here, "joined", name), "join step", name, joins, at_key=True)
    yield from _unasked(spec, test, document, here)
    expected = test.expect
    sinks = [name for name, _ in spec.named_sinks()]
    if expected.sink is not None and len(sinks) > 1:
        message = f"the flow has several sinks: {', '.join(sinks)}"
        yield document.problem((*here, "expect", "sink"), message, "write 'sinks', an object by their ids", at_key=True)
    if expected.sink is not None and expected.sinks is not None:
        yield document.problem((*here, "expect", "sink"), "'sink' and 'sinks' say the same; leave one out", at_key=True)
    for name in expected.sinks or {}:
        if name not in sinks:
            yield _unknown(document, (*here, "expect", "sinks", name), "sink", name, sinks, at_key=True)
    steps = ["decode", "external_id", *(name for name, _ in spec.named_steps())]
    for place, letter in enumerate(expected.dead_letters or []):
        if letter.step is not None and letter.step not in steps:
            yield _unknown(document, (*here, "expect", "dead_letters", place, "step"), "step", letter.step, steps)


def _unasked(spec: FlowSpec, test: SpecTest, document: Document, here: Path) -> Iterator[Problem]:
    """Answers for steps that ask for none."""
    asking = [name for name, step in spec.named_steps() if isinstance(step, AskingStep)]
    for name in test.answers:
        if name not in asking:
            yield _unknown(document, (*here, "answers", name), "enrich or call step", name, asking, at_key=True)


def _wrong_contents(trigger: Trigger, records: Sequence[Given], document: Document, here: Path) -> Iterator[Problem]:
    for place, given in enumerate(records):
        if (mistake := _wrong_content(trigger, given)) is not None:
            yield document.problem((*here, place), *mistake)


def _wrong_content(trigger: Trigger, given: Given) -> tuple[str, str] | None:
    if not isinstance(trigger, StreamTrigger):
        if given.payload is None:
            return None
        return f"{trigger.connector} / {trigger.event} makes the bodies of its records itself", "give the 'body'"
    name = format_name(trigger.format)
    if not is_local(trigger):
        if given.payload is None:
            return None
        return f"the format {name} needs a system to decode a payload", "give the 'body', which is then not decoded"
    if name != "json" and given.payload is None:
        return f"the trigger has the format {name}", "give the 'payload' of the record, as it is received"
    return None


def _unknown(document: Document, path: Path, what: str, name: str, known: Iterable[str], **options: Any) -> Problem:
    near = nearest(name, known)
    hint = f"did you mean {near!r}?" if near else f"{what}s: {', '.join(known)}"
    return document.problem(path, f"the flow has no {what} {name!r}", hint, **options)
