"""Which fields of an account are nobody's business."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from pydantic import BaseModel, SecretStr

from flowspec.loading.problems import Path

__all__ = ["is_secret"]


def is_secret(model: type[BaseModel] | None, path: Path) -> bool:
    """Whether what an account's table has at `path` is secret, or may be: so is what no `model` tells about."""
    field = model.model_fields.get(str(path[0])) if model is not None and path else None
    if field is None or not field.repr:
        return True
    types = list(_types(field.annotation))
    models = [each for each in types if issubclass(each, BaseModel)]
    return SecretStr in types or (len(path) > 1 and any(is_secret(each, path[1:]) for each in models))


def _types(annotation: Any) -> Iterator[type]:
    if isinstance(annotation, type) and not get_args(annotation):
        yield annotation
    for inner in get_args(annotation):
        yield from _types(inner)
