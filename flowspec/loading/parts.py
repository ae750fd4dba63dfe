"""The parts of a document: where in it the trigger, the steps, the sinks and what they have inside are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from flowspec.loading.problems import Path
from flowspec.model import SpecModel
from flowspec.objects import CONTRACTS, model_of
from flowspec.spec import FlowSpec

__all__ = ["fields_of", "parts_of"]


def parts_of(value: Any, model: type[BaseModel] = FlowSpec, path: Path = ()) -> Iterator[tuple[Path, type[SpecModel]]]:
    """The paths of all triggers, actions, steps, lookups and calls in a document, with what each of them has to be.

    A part comes before those inside of it. Of a document that is wrong there are those that can be told.
    """
    if not isinstance(value, dict):
        return
    for key, field in fields_of(model):
        if key in value:
            yield from _parts_within(value[key], field.annotation, (*path, key))


def fields_of(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model by the keys that a document may have for them."""
    for name, field in model.model_fields.items():
        yield field.alias or name, field
        if name == "sinks":
            yield "sink", field


def _parts_within(value: Any, annotation: Any, path: Path) -> Iterator[tuple[Path, type[SpecModel]]]:
    if isinstance(value, list) and get_origin(annotation) is list:
        for place, item in enumerate(value):
            yield from _parts_within(item, get_args(annotation)[0], (*path, place))
    elif options := get_args(annotation):
        for option in options:
            yield from _parts_within(value, option, path)
    elif isinstance(value, dict) and isinstance(annotation, type) and issubclass(annotation, SpecModel):
        if annotation in CONTRACTS:
            yield path, annotation
        try:
            model = model_of(annotation, value)
        except ValidationError:
            return  # building it says why
        yield from parts_of(value, model, path)
