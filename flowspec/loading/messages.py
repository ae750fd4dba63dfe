"""What pydantic found, in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from flowspec.connectors import SpecModel
from flowspec.expressions.errors import nearest
from flowspec.loading.document import texts
from flowspec.loading.parts import fields_of
from flowspec.loading.problems import Path
from flowspec.objects import model_of

__all__ = ["described"]

_EXPECTED = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "string": "a text",
    "bytes": "a text",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "dict": "an object",
    "model": "an object",
    "none": "nothing",
    "date": "a date",
    "datetime": "a date and time",
    "url": "a URL",
}
_TYPE_ENDINGS = ("_type", "_parsing", "_from_float", "_attributes_type", "_required")
_LIMITS: dict[str, str] = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_short": "must have {min_length} or more characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have {min_length} or more items",
    "too_long": "must have at most {max_length} items",
    "string_pattern_mismatch": "does not match the pattern {pattern}",
    "multiple_of": "must be a multiple of {multiple_of}",
}
_LONGEST = 40


class Finding(NamedTuple):
    """One mistake."""

    path: Path
    message: str
    hint: str | None = None
    of_key: bool = False
    """Whether the key is what is wrong, rather than its value."""


def described(
    error: ValidationError, value: Any, model: type[SpecModel], hidden: Callable[[Path], bool]
) -> Iterator[Finding]:
    """The mistakes that pydantic found in `value`, each place once.

    Args:
        error: What it found.
        value: What was to become a `model`.
        model: The model of it.
        hidden: Tells of a path whether its value may not be shown.
    """
    found = [(_place(value, each), each) for each in error.errors(include_url=False)]
    ordered = sorted(found, key=lambda item: repr(item[0]))
    for path, group in groupby(ordered, key=lambda item: item[0]):
        yield _finding(path, [each for _, each in group], value, model, hidden=hidden(path))


def _finding(path: Path, errors: list[ErrorDetails], value: Any, model: type[SpecModel], *, hidden: bool) -> Finding:
    first = errors[0]
    if first["type"] == "extra_forbidden":
        return Finding(path, *_unknown_key(path, value, model), of_key=True)
    if first["type"] == "missing":
        return Finding(path[:-1], f"{path[-1]!r} is missing", None, of_key=True)
    # A union has an error for each option; what is wrong with the fitting one says more than the types of the others.
    telling = [each for each in errors if _expected(each) is None]
    if telling:
        return Finding(path, *_message(telling[0], hidden=hidden))
    expected = " or ".join(dict.fromkeys(filter(None, map(_expected, errors))))
    return Finding(path, f"expected {expected}, found {_found(first['input'], hidden=hidden)}")


def _message(error: ErrorDetails, *, hidden: bool) -> tuple[str, str | None]:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind in _LIMITS:
        shown = "" if isinstance(given, (list, dict)) else f", found {_found(given, hidden=hidden)}"
        return _LIMITS[kind].format(**context) + shown, None
    if kind in ("literal_error", "enum"):
        options = str(context.get("expected", ""))
        near = None if hidden else nearest(str(given), re.findall("'([^']*)'", options))
        return f"expected {options}, found {_found(given, hidden=hidden)}", f"did you mean {near!r}?" if near else None
    message = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if hidden and _quotes(message, given):
        return "the value does not fit here", "it is not shown: it comes from a variable or belongs to an account"
    return message.replace("Input should be ", "expected "), None


def _quotes(message: str, given: Any) -> bool:
    """Whether a message may show what it is about: those of single texts do, in part or whole."""
    return isinstance(given, str) or any(text in message for _, text in texts(given))


def _expected(error: ErrorDetails) -> str | None:
    kind = error["type"]
    stem = next((kind.removesuffix(ending) for ending in _TYPE_ENDINGS if kind.endswith(ending)), None)
    return _EXPECTED.get(stem.removesuffix("_attributes")) if stem is not None else None


def _found(value: Any, *, hidden: bool) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    kind = "the text" if isinstance(value, str) else "the number"
    shown = str(value).lower() if isinstance(value, bool) else repr(value)
    if hidden or len(shown) > _LONGEST:
        return "another text" if isinstance(value, str) else "another value"
    return shown if isinstance(value, bool) else f"{kind} {shown}"


def _place(document: Any, error: ErrorDetails) -> Path:
    """The path of an error in the document; pydantic's has names of union members in it as well."""
    value = document
    path: list[str | int] = []
    names = list(error["loc"])
    missing = names.pop() if error["type"] == "missing" else None
    for name in names:
        key = _as_written(name, value)
        if key in _keys(value):
            path.append(key)
            value = value[key]
    if missing is not None:
        path.append(_as_written(missing, value))
    return tuple(path)


def _as_written(name: str | int, value: Any) -> str | int:
    """The key of an object for a name of its model: a single sink may be written as one."""
    return "sink" if name == "sinks" and isinstance(value, dict) and "sinks" not in value else name


def _keys(value: Any) -> Iterable[Any]:
    if isinstance(value, list):
        return range(len(value))
    return value if isinstance(value, dict) else ()


def _unknown_key(path: Path, value: Any, model: type[SpecModel]) -> tuple[str, str | None]:
    key = str(path[-1])
    known = list(_known_keys(path[:-1], value, model))
    if key in known:
        what = "a branch" if len(path) > 1 else "a flow"
        return f"{what} has 'sink' or 'sinks', not both", "put it into the list"
    near = nearest(key, known)
    return f"unknown key {key!r}", f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"


def _known_keys(path: Path, value: Any, model: type[SpecModel]) -> Iterator[str]:
    """The keys that the object at `path` may have."""
    models: list[type[BaseModel]] = [model]
    for key in path:
        models = [_concrete(each, value) for each in models]
        value = value[key]
        if isinstance(key, str):
            fields = [field for each in models for name, field in fields_of(each) if name == key]
            models = [inner for field in fields for inner in _models(field.annotation)]
    for each in models:
        yield from (name for name, _ in fields_of(_concrete(each, value)))


def _concrete(model: type[BaseModel], value: Any) -> type[BaseModel]:
    return model_of(model, value) if issubclass(model, SpecModel) else model


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
