"""How steps put new bodies in place, and how they reach into bodies without changing them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field

from flowspec.errors import RecordError
from flowspec.expressions.careful import describe, field_at

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["FieldPath", "Tree", "field", "put", "replaced", "tree", "with_bodies", "without"]

FieldPath: TypeAlias = Annotated[str, Field(pattern=r"^[^.]+(\.[^.]+)*$", max_length=500)]
"""A field of the body, or of an object in it: `total`, `customer.email`."""

Tree: TypeAlias = "dict[str, Tree]"
"""Paths by their first name; an empty tree stands for the whole field."""


def with_bodies(records: list[Record], bodies: Iterable[Any]) -> list[Record]:
    """The records, each with its new body."""
    for record, body in zip(records, bodies, strict=True):
        record.body = body
    return records


def field(body: Any, path: str) -> Any:
    """The field at `path`.

    Raises:
        RecordError: there is none.
    """
    return field_at(body, "", tuple(path.split(".")))


def tree(paths: Iterable[str]) -> Tree:
    """`paths` as a tree; a whole field wins over a part of it."""
    root: Tree = {}
    for path in sorted(paths, key=lambda path: path.count("."), reverse=True):
        *levels, last = path.split(".")
        level = root
        for name in levels:
            level = level.setdefault(name, {})
        level[last] = {}
    return root


def without(value: Any, paths: Tree) -> Any:
    """`value` without the fields at `paths`, as far as it has them."""
    if not isinstance(value, Mapping):
        return value
    kept = {}
    for name, item in value.items():
        if name not in paths:
            kept[name] = item
        elif below := paths[name]:
            kept[name] = without(item, below)
    return kept


def put(body: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    """`body` with `value` as a new field at `path`; objects on the way are made.

    Raises:
        RecordError: there is such a field, or a level is not an object.
    """
    name, *below = path
    if not isinstance(body, Mapping):
        msg = f"field {name!r} cannot be put into {describe(body)}"
        raise RecordError(msg)
    if below:
        return {**body, name: put(body.get(name, {}), below, value)}
    if name in body:
        msg = f"there is a field {name!r} already"
        raise RecordError(msg)
    return {**body, name: value}


def replaced(body: Any, path: Sequence[str], value: Any) -> dict[str, Any]:
    """`body` with `value` at `path`, in place of what is there; objects on the way are made.

    Raises:
        RecordError: a level is not an object.
    """
    name, *below = path
    if not isinstance(body, Mapping):
        msg = f"field {name!r} cannot be put into {describe(body)}"
        raise RecordError(msg)
    return {**body, name: replaced(body.get(name, {}), below, value) if below else value}
