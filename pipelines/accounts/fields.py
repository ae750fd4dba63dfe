"""Fields of an account as they are given on the command line: `port=5672`, `headers.X-Tenant=shop`."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, SecretStr

from flowspec.loading.problems import Path

__all__ = ["place_of", "value_of"]


def place_of(model: type[BaseModel], key: str) -> tuple[Path, Any]:
    """The path that a key with dots stands for, and the type of the field there.

    A key of the user's own, like the name of a header or property, may have dots itself.
    """
    name, _, rest = key.partition(".")
    field = model.model_fields.get(name)
    if not rest:
        return (name,), str if field is None else field.annotation
    for option in _options(None if field is None else field.annotation):
        if isinstance(option, type) and not get_args(option) and issubclass(option, BaseModel):
            path, annotation = place_of(option, rest)
            return (name, *path), annotation
        if get_origin(option) is dict:
            return (name, rest), get_args(option)[1]
    return (name, rest), str


def value_of(text: str, annotation: Any) -> Any:
    """The text itself where a field of that type takes one, or else the number, boolean, list or object in it."""
    options = list(_options(annotation))
    if str in options or SecretStr in options or any(get_origin(option) is Literal for option in options):
        return text
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return text if value is None or isinstance(value, str) else value


def _options(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from _options(each)
    elif origin is Annotated:
        yield from _options(get_args(annotation)[0])
    else:
        yield annotation
