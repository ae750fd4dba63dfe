"""What keeps the work of one expression bounded, whatever the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

__all__ = [
    "MAX_BITS",
    "MAX_DEPTH",
    "MAX_ITEMS",
    "MAX_SIZE",
    "MAX_SOURCE",
    "bounded",
    "budget",
    "check_size",
    "formatted",
    "modulo",
    "multiply",
    "power",
    "strftime",
    "strftime_format",
]

MAX_SOURCE = 2_000
"""Characters of one expression."""
MAX_DEPTH = 50
"""Levels of nesting of one expression."""
MAX_ITEMS = 100_000
"""Items that a comprehension goes through."""
MAX_SIZE = 1_000_000
"""Characters or items of a result that is larger than what it was made from."""
MAX_BITS = 4_096
"""Size of an integer made by `**` or read from text."""

_MAX_EXPONENT = 1_000
_SEQUENCES = (str, bytes, list, tuple)
_DATE_LETTERS = frozenset("aAbBdHIjmMpSfUwWyYzZuVG%")


def check_size(size: int) -> None:
    """Refuse a result of `size` characters or items that is too large.

    Raises:
        ValueError: it is larger than `MAX_SIZE`.
    """
    if size > MAX_SIZE:
        msg = f"the result would have {size:,} characters or items, more than {MAX_SIZE:,}"
        raise ValueError(msg)


def bounded(values: Any) -> Iterable[Any]:
    """What a comprehension may go through."""
    if not isinstance(values, (list, dict, str, tuple, set, frozenset)):
        msg = f"for needs a list, not {type(values).__name__}"
        raise TypeError(msg)
    if len(values) > MAX_ITEMS:
        msg = f"for goes through at most {MAX_ITEMS:,} items, not {len(values):,}"
        raise ValueError(msg)
    return values


def budget() -> Callable[[Any], Any]:
    """A function that passes on what a comprehension makes, until it is too much altogether."""
    left = 10 * MAX_SIZE

    def spend(value: Any) -> Any:
        nonlocal left
        if isinstance(value, _SEQUENCES):
            left -= len(value)
            if left < 0:
                msg = f"for makes more than {10 * MAX_SIZE:,} characters or items"
                raise ValueError(msg)
        return value

    return spend


def multiply(left: Any, right: Any) -> Any:
    """`left * right`, which repeats a text or list only as far as the result stays small."""
    for values, times in ((left, right), (right, left)):
        if isinstance(values, _SEQUENCES) and isinstance(times, int):
            check_size(len(values) * max(times, 0))
    return left * right


def modulo(left: Any, right: Any) -> Any:
    """`left % right` of numbers; a text on the left would be a format of any width."""
    if isinstance(left, (str, bytes)):
        msg = "'%' does not format text; write a template, or use + and str()"
        raise TypeError(msg)
    return left % right


def power(base: Any, exponent: Any) -> Any:
    """`base ** exponent`, refused where the result would be huge."""
    too_large = False
    if isinstance(base, int) and isinstance(exponent, int):
        too_large = abs(base) > 1 and base.bit_length() * exponent > MAX_BITS
    elif isinstance(base, Decimal):
        too_large = abs(base.adjusted() * exponent) > _MAX_EXPONENT
    if too_large:
        msg = f"the result of ** would be larger than {MAX_BITS:,} bits"
        raise ValueError(msg)
    return base**exponent


def formatted(value: Any, form: str) -> str:
    """`value` in a format of a template, whose width was checked when the template was read."""
    return format(value, form)


def strftime_format(text: str) -> None:
    """Refuse a date format whose parts are not plain `%Y`-like letters: the C library knows widths.

    Raises:
        ValueError: the format is not allowed.
    """
    letters = text.replace("%%", "").split("%")[1:]
    bad = next((part[:1] for part in letters if part[:1] not in _DATE_LETTERS or not part), None)
    if bad is not None or len(text) > 100:  # noqa: PLR2004
        known = "".join(sorted(_DATE_LETTERS))
        msg = f"date formats have at most 100 characters and only these letters after %: {known}"
        raise ValueError(msg)


def strftime(value: date, text: str) -> str:
    """`value` as text in a format of plain `%Y`-like parts."""
    if not isinstance(value, date):
        msg = f"strftime() needs a date, not {type(value).__name__}"
        raise TypeError(msg)
    strftime_format(text)
    return value.strftime(text)
