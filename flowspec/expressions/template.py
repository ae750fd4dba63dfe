"""Texts with expressions in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from flowspec.expressions.emitters import Emitter, call, constant
from flowspec.expressions.errors import ExpressionError
from flowspec.expressions.fields import Written
from flowspec.expressions.guards import strftime_format
from flowspec.expressions.program import Program, Translate

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["Template"]

_MAX_LENGTH = 10_000
_FORMAT = re.compile(r"(?:[^{}]?[<>=^])?[+\- ]?#?0?\d{0,3}[,_]?(?:\.\d{1,3})?[bcdeEfFgGosxX%]?")
_BRACE = re.compile(r"[{}]")
_OPENING, _CLOSING = "([{", ")]}"


class Template(Written):
    """A text made from a record: `Template("Order {order_id} of {customer.name}")`.

    The same expressions as elsewhere stand in the braces, with a format behind a colon where one is needed
    (`{total:.2f}`); `{{` and `}}` are braces.

    Raises:
        ExpressionError: a brace is not closed, or what is in it is not an expression of the language.
    """

    _json_schema: ClassVar[dict[str, Any]] = {"type": "string", "format": "template"}

    def __init__(self, spec: str) -> None:
        if not isinstance(spec, str):
            msg = f"a template is a text, not {type(spec).__name__}"
            raise TypeError(msg)
        super().__init__(spec)
        if len(spec) > _MAX_LENGTH:
            msg = f"the template has {len(spec):,} characters, more than {_MAX_LENGTH:,}"
            raise ExpressionError(msg)
        self._parts = list(_parts(spec))
        self._program = Program(spec, self._assemble)

    @property
    def source(self) -> str:
        """The text of the template."""
        source: str = self.spec
        return source

    def _assemble(self, translate: Translate, emitter: Emitter) -> ast.expr:
        parts: list[ast.expr] = []
        for start, text, form in self._parts:
            if start is None:
                parts.append(constant(text))
                continue
            try:
                value = translate(text)
            except ExpressionError as error:
                raise error.moved(start) from None
            parts.append(ast.FormattedValue(call("_format", value, constant(form)) if form else value, -1))
        return ast.JoinedStr(parts)

    def values(self, records: Sequence[Record]) -> list[str]:
        """The texts of a batch.

        Raises:
            RecordError: of the first record that has none.
        """
        return self._program.values(records)

    def value(self, record: Record) -> str:
        """The text of one record, evaluated carefully.

        Raises:
            RecordError: it has none; the message says why.
        """
        text: str = self._program.value(record)
        return text


def _parts(template: str) -> Iterator[tuple[int | None, str, str]]:
    """Plain texts, without a place, and expressions with their place and format."""
    at = 0
    while at < len(template):
        brace = _BRACE.search(template, at)
        if brace is None:
            yield None, template[at:], ""
            return
        start = brace.start()
        if template[start : start + 2] in ("{{", "}}"):
            yield None, template[at : start + 1], ""
            at = start + 2
            continue
        if brace[0] == "}":
            msg = "a brace is closed that was not opened"
            raise ExpressionError(msg, start + 1, "write '}}' for a brace")
        if start > at:
            yield None, template[at:start], ""
        ends, end = _ends(template, start + 1)
        source = template[start + 1 : ends]
        form = template[ends + 1 : end]
        if template[ends] == ":":
            _check_format(form, ends + 2)
        lead = len(source) - len(source.lstrip())
        yield start + 1 + lead, source.strip(), form
        at = end + 1


def _ends(template: str, start: int) -> tuple[int, int]:
    """Where the expression that begins at `start` ends, and where its closing brace is."""
    open_brackets = 0
    quote = ""
    at = start
    while at < len(template):
        character = template[at]
        if quote:
            at += character == "\\"
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in _OPENING:
            open_brackets += 1
        elif character in _CLOSING and open_brackets:
            open_brackets -= 1
        elif not open_brackets and character in ":}":
            end = template.find("}", at)
            if end >= 0:
                return at, end
        elif not open_brackets and character == "!" and template[at + 1 : at + 2] != "=":
            msg = "'!' is not part of the language"
            raise ExpressionError(msg, at + 1, "use str() or to_json()")
        at += 1
    msg = "a brace is not closed"
    raise ExpressionError(msg, start, "write '{{' for a brace")


def _check_format(form: str, column: int) -> None:
    if "%" in form[:-1]:
        try:
            strftime_format(form)
        except ValueError as error:
            raise ExpressionError(str(error), column) from None
    elif not _FORMAT.fullmatch(form):
        msg = f"{form!r} is not a format"
        raise ExpressionError(msg, column, "write one like '.2f', '>10' or '%Y-%m-%d'; up to 3 digits")
