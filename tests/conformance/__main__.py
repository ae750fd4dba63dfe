"""The page of the conformance suite: `python -m tests.conformance > docs/conformance.md` writes it anew."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterator, Sequence

import click

from flowspec import registry
from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from sources.testing.cases import Case, Conformance
from tests import conformance

__all__ = ["page"]

_SENT_BY_NOBODY = {
    "schedule.tick": "nobody sends ticks, so no case can have ticks of its own; `tests/sources/test_schedule.py` has "
    "what is asked of it",
}
"""Triggers that no case can be about, and why."""

_INTRODUCTION = """\
# Conformance

Every trigger and every sink is held to the same cases, against real systems that the tests start:
`pytest tests/conformance`. A connector that is in the registry and not here fails the tests, and so does a waiver that
is not needed any more. A connector of another package is held to the same cases by `sources.testing` and
`sinks.testing`.

✓ stands for a test that must pass before a change lands. A letter stands for a waiver; its reason is below the
table."""


def suites(kind: type[Conformance]) -> list[type[Conformance]]:
    """The classes that run a suite, in the order in which they stand in the modules."""
    for module in pkgutil.iter_modules(conformance.__path__, f"{conformance.__name__}."):
        if module.name.rpartition(".")[2].startswith("test_"):
            importlib.import_module(module.name)
    return [cls for cls in _below(kind) if cls.__name__.startswith("Test")]


def name_of(suite: type[Conformance]) -> str:
    """What a suite holds to the cases: the name in the registry."""
    if issubclass(suite, TriggerConformance):
        return suite.trigger
    assert issubclass(suite, SinkConformance)
    return suite.action


def page() -> str:
    """The page, from the classes that run the cases."""
    return "\n".join(_lines()) + "\n"


def _below(cls: type[Conformance]) -> Iterator[type[Conformance]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from _below(sub)


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    yield ""
    yield from (f"`{name}` is not in the tables: {reason}." for name, reason in _SENT_BY_NOBODY.items())
    for heading, kind in (("Triggers", TriggerConformance), ("Sinks", SinkConformance)):
        yield from ("", f"## {heading}", "")
        yield from _table(suites(kind), kind.cases())


def _table(columns: Sequence[type[Conformance]], cases: Sequence[Case]) -> Iterator[str]:
    columns = sorted(columns, key=lambda suite: (name_of(suite), suite.system))
    letters: dict[str, str] = {}
    yield "| | case | " + " | ".join(suite.system for suite in columns) + " |"
    yield "| --- | --- |" + " --- |" * len(columns)
    for case in cases:
        reasons = [suite.waiver(case) for suite in columns]
        marks = ["✓" if reason is None else letters.setdefault(reason, _letter(len(letters))) for reason in reasons]
        yield f"| {case.number} | {case.title} | " + " | ".join(marks) + " |"
    yield ""
    yield from (f"* {letter}: {reason}" for reason, letter in letters.items())


def _letter(number: int) -> str:
    return chr(ord("a") + number)


if __name__ == "__main__":
    unheld = (
        {*registry.triggers(), *registry.actions()}
        - _SENT_BY_NOBODY.keys()
        - {name_of(suite) for kind in (TriggerConformance, SinkConformance) for suite in suites(kind)}
    )
    if unheld:
        sys.exit(f"not held to the cases: {', '.join(sorted(unheld))}; write a class in tests/conformance")
    click.echo(page(), nl=False)
