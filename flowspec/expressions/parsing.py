"""From the text of an expression to Python's syntax tree, with errors for people who know other languages."""

from __future__ import annotations

import ast
import keyword
import re
import warnings

from flowspec.expressions.errors import ExpressionError
from flowspec.expressions.guards import MAX_SOURCE

__all__ = ["one_line", "parse"]

_HINTS = (
    ("&&", "write 'and'"),
    ("||", "write 'or'"),
    ("===", "write '=='"),
    ("!==", "write '!='"),
    ("<>", "write '!='"),
    ("?", "write 'a if condition else b'"),
)
_OPERATORS = frozenset({"and", "or", "not", "in", "is", "if", "else", "for", "True", "False", "None"})
_STRINGS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")


def one_line(source: str) -> str:
    """The source as it is compiled: YAML may have brought it in several lines."""
    return " ".join(source.splitlines()).strip()


def parse(source: str) -> ast.expr:
    """The syntax tree of an expression.

    Raises:
        ExpressionError: it is no expression of Python's syntax.
    """
    if not source.strip():
        msg = "the expression is empty"
        raise ExpressionError(msg)
    if len(source) > MAX_SOURCE:
        msg = f"the expression has {len(source):,} characters, more than {MAX_SOURCE:,}"
        raise ExpressionError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, mode="eval").body
    except SyntaxError as error:
        raise _explained(source, error) from None
    except (ValueError, MemoryError, RecursionError) as error:
        msg = f"the expression cannot be read: {str(error) or 'it is nested too deeply'}"
        raise ExpressionError(msg) from None


def _explained(source: str, error: SyntaxError) -> ExpressionError:
    text = _STRINGS.sub(lambda match: " " * len(match[0]), source)
    assigned = _assignment(text)
    if assigned is not None:
        return ExpressionError("'=' assigns", assigned + 1, "use == to compare")
    for written, hint in _HINTS:
        if written in text:
            return ExpressionError(f"{written!r} is not an operator", text.index(written) + 1, hint)
    for word in re.finditer(r"[A-Za-z]+", text):
        if keyword.iskeyword(word[0]) and word[0] not in _OPERATORS:
            hint = f"one expression is expected; for a field of that name write body[{word[0]!r}]"
            return ExpressionError(f"{word[0]!r} is a word of the language", word.start() + 1, hint)
    return ExpressionError(f"the expression cannot be read: {error.msg}", min(error.offset or 1, len(source)))


def _assignment(text: str) -> int | None:
    """Where a single `=` stands that does not name an argument."""
    for match in re.finditer(r"(?<![=!<>:])=(?!=)", text):
        before = text[: match.start()]
        if all(before.count(opening) <= before.count(closing) for opening, closing in ("()", "[]", "{}")):
            return match.start()
    return None
