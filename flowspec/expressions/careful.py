"""Evaluation that can say what went wrong: slow, and run only for a batch that failed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from reprlib import Repr
from typing import Any

from flowspec.errors import RecordError
from flowspec.expressions.errors import nearest
from flowspec.expressions.guards import modulo, multiply, power

__all__ = ["CAREFUL", "describe", "field_at", "shorten"]

_SHOWN = 60
_KNOWN = 1_000
_KINDS = {
    bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object",
}  # fmt: skip

_repr = Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = _SHOWN
_repr.maxlevel, _repr.maxdict, _repr.maxlist = 2, 3, 4


def shorten(text: str) -> str:
    """`text` in one line of a length that is good in a message."""
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def describe(value: Any) -> str:
    """What kind of value it is, and its beginning: `text 'abc'`."""
    if value is None:
        return "null"
    return f"{_KINDS.get(type(value), type(value).__name__)} {shorten(_repr.repr(value))}"


def field_at(start: Any, root: str, path: tuple[str, ...]) -> Any:
    """The field at `path` below `start`, which messages call `root`; empty for the body.

    Raises:
        RecordError: a level is missing, or is not an object.
    """
    value, walked = start, root
    for name in path:
        below = _below(walked, name)
        try:
            value = value[name]
        except KeyError:
            known = [key for key in value if isinstance(key, str)][:_KNOWN] if isinstance(value, Mapping) else []
            meant = nearest(name, known)
            msg = f"missing field {below!r}" + (f"; did you mean {meant!r}?" if meant else "")
            raise RecordError(msg) from None
        except Exception:  # noqa: BLE001  # whatever a value that is no object answers
            level = f"field {walked!r}" if walked else "the body"
            msg = f"{level} is not an object but {describe(value)}, so it has no field {name!r}"
            raise RecordError(msg) from None
        walked = below
    return value


def _below(walked: str, name: str) -> str:
    """The path of a field as it is written in an expression: `customer.email`, `headers['x-id']`."""
    if not name.isidentifier():
        return f"{walked or 'body'}[{name!r}]"
    return f"{walked}.{name}" if walked else name


def _item(text: str, value: Any, index: Any) -> Any:
    try:
        return value[index]
    except KeyError:
        reason = f"there is no {describe(index)}"
    except IndexError:
        reason = f"there are only {len(value)} items"
    except Exception:  # noqa: BLE001
        reason = f"{describe(value)} has no item {describe(index)}"
    msg = f"{text}: {reason}"
    raise RecordError(msg)


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": multiply, "/": operator.truediv, "//": operator.floordiv,
    "%": modulo, "**": power, "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le,
    ">": operator.gt, ">=": operator.ge, "is": operator.is_, "is not": operator.is_not,
    "in": lambda left, right: left in right, "not in": lambda left, right: left not in right,
    "negative": lambda value, _: -value, "positive": lambda value, _: +value,
}  # fmt: skip


def _binary(text: str, symbol: str, left: Any, right: Any) -> Any:
    try:
        return _BINARY[symbol](left, right)
    except TypeError as error:
        if symbol in ("negative", "positive"):
            msg = f"{text}: {describe(left)} has no sign"
        elif isinstance(left, str) and symbol == "%":
            msg = f"{text}: {error}"
        else:
            msg = f"{text}: {symbol!r} does not work between {describe(left)} and {describe(right)}"
    except Exception as error:  # noqa: BLE001
        msg = f"{text}: {str(error)[:200] or repr(error)}"
    raise RecordError(msg)


def _compare(text: str, symbols: tuple[str, ...], *operands: Callable[[], Any]) -> Any:
    """A chain of comparisons; each operand is evaluated once, and only when it is reached."""
    left, result = operands[0](), None
    for symbol, operand in zip(symbols, operands[1:], strict=True):
        right = operand()
        result = _binary(text, symbol, left, right)
        if not result:
            break
        left = right
    return result


def _call(text: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    try:
        return function(*arguments, **named)
    except RecordError:
        raise
    except Exception as error:  # noqa: BLE001
        reason = str(error) or repr(error)
        if isinstance(error, TypeError):
            reason = f"does not work with {', '.join(map(describe, arguments)) or 'that'}: {reason}"
        msg = f"{text}: {reason[:200]}"
        raise RecordError(msg) from None


def _named(name: str, value: Callable[[], Any]) -> Any:
    """The value of one field of a new body, with the field's name before its error."""
    try:
        return value()
    except Exception as error:  # noqa: BLE001
        msg = f"{name}: {error or repr(error)}"
        raise RecordError(msg) from None


def _object(value: Any) -> Any:
    """The body that fields are put onto."""
    if not isinstance(value, Mapping):
        msg = f"the body is not an object but {describe(value)}, so no field can be set"
        raise RecordError(msg)
    return value


CAREFUL: dict[str, Callable[..., Any]] = {
    "_field": field_at, "_item": _item, "_binary": _binary, "_compare": _compare, "_call": _call,
    "_named": _named, "_object": _object, "_slice": slice,
}  # fmt: skip
"""The names that the careful variant of an expression calls."""
