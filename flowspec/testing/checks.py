"""What of a test does not go with the flow that it is of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flowspec.connectors import StreamTrigger
from flowspec.expressions.errors import nearest
from flowspec.formats import format_name
from flowspec.loading.document import Document
from flowspec.loading.problems import Path, Problem
from flowspec.spec import FlowSpec
from flowspec.testing.ends import is_local
from flowspec.testing.model import Given, SpecTest

__all__ = ["mistakes"]


def mistakes(spec: FlowSpec, test: SpecTest, document: Document, index: int) -> Iterator[Problem]:
    """The problems of the test at a place of a document, below `tests`."""
    here: Path = ("tests", index)
    for place, given in enumerate(test.given):
        if (mistake := _wrong_content(spec, given)) is not None:
            yield document.problem((*here, "given", place), *mistake)
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


def _wrong_content(spec: FlowSpec, given: Given) -> tuple[str, str] | None:
    trigger = spec.trigger
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
