"""The error of an expression that cannot be compiled."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["ExpressionError", "nearest"]


class ExpressionError(ValueError):
    """An expression or template that is not part of the language: what is wrong, in which column, what to do."""

    def __init__(self, what: str, column: int | None = None, hint: str | None = None) -> None:
        place = "" if column is None else f" (column {column})"
        super().__init__(f"{what}{place}" + (f"; {hint}" if hint else ""))
        self.what = what
        self.column = column
        """Where the mistake begins, counted from 1."""
        self.hint = hint

    def moved(self, offset: int) -> ExpressionError:
        """The same error, of an expression that begins `offset` characters into a longer text."""
        column = None if self.column is None else self.column + offset
        return ExpressionError(self.what, column, self.hint)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was most likely meant by `name`."""
    return next(iter(get_close_matches(name, list(known), 1)), None)
