"""The reference of the language: `python -m pipelines.reference > docs/reference.md` writes it anew."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from inspect import cleandoc, isabstract
from typing import TYPE_CHECKING

import click

from flowspec import registry
from flowspec.steps.base import Step
from pipelines.catalogue import describe, fields_of, models_in, offer_of

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = ["page"]


def page() -> str:
    """The page, from the models that specs are checked with."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# Reference"
    yield ""
    yield "All that can stand in a spec, from the models that check it. Durations are seconds, or texts like `250ms`,"
    yield "`5s`, `10m`; expressions and templates are described in [expressions.md](expressions.md), formats and their"
    yield "options in [formats.md](formats.md)."
    yield from ("", "## Connectors")
    for connector in registry.connectors():
        if connector.account is not None:
            yield from _section(f"{connector.name}, account", connector.account)
        for trigger in connector.triggers:
            yield from _section(f"{connector.name} / {offer_of(trigger)} ({trigger.kind} trigger)", trigger)
        for action in connector.actions:
            yield from _section(f"{connector.name} / {offer_of(action)} (sink)", action)
    yield from _section("Steps", Step, level="##")
    for kind in registry.steps():
        step = registry.step(kind)
        yield from _section(kind, step, besides=Step.model_fields)
        yield from _options(step, kind)
    for name in registry.lookups():
        yield from _section(f"enrich, {name}", registry.lookup(name))
    for name in registry.calls():
        yield from _section(f"call, {name}", registry.call(name))


def _options(model: type[BaseModel], field: str) -> Iterator[str]:
    """The models that a field may have as its value, each with those in it."""
    for options in models_in(model, field):
        if not isabstract(options):
            yield ""
            yield f"`{field}` as an object: {describe(options)}"
            yield ""
            yield from _table(options)
            for part in fields_of(options):
                yield from _options(options, part.name)


def _section(
    heading: str, model: type[BaseModel], *, level: str = "###", besides: Collection[str] = ()
) -> Iterator[str]:
    yield from ("", f"{level} {heading}", "", cleandoc(model.__doc__ or ""), "")
    yield from _table(model, besides)


def _table(model: type[BaseModel], besides: Collection[str] = ()) -> Iterator[str]:
    yield from ("| field | type | default | |", "| --- | --- | --- | --- |")
    for field in fields_of(model):
        if field.name in besides:
            continue
        default = field.default if field.default in ("", "required") else f"`{field.default}`"
        cells = (f"`{field.name}`", field.type, default, field.description)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    click.echo(page(), nl=False)
