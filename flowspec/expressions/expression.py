"""Expressions on a record."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from flowspec.expressions.emitters import Emitter, constant, name
from flowspec.expressions.fields import Written
from flowspec.expressions.program import Program, Translate
from flowspec.expressions.translator import BODY

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["Expression", "Fields"]


class Expression(Written):
    """A value computed from a record: `Expression("total * 100")`.

    A text is always an expression; a number, boolean or None stands for itself.

    Raises:
        ExpressionError: the text is not an expression of the language.
    """

    _json_schema: ClassVar[dict[str, Any]] = {
        "type": ["string", "number", "boolean", "null"],
        "format": "expression",
    }

    def __init__(self, spec: str | float | bool | None) -> None:
        if spec is not None and not isinstance(spec, (str, int, float)):
            msg = f"an expression is a text, number, boolean or null, not {type(spec).__name__}"
            raise TypeError(msg)
        super().__init__(spec)
        self._program = Program(self.source, lambda translate, _: self.translated(translate))

    @property
    def source(self) -> str:
        """The text of the expression."""
        return self.spec if isinstance(self.spec, str) else repr(self.spec)

    def translated(self, translate: Translate) -> ast.expr:
        """The code of the expression, as a part of a program."""
        return translate(self.spec) if isinstance(self.spec, str) else constant(self.spec)

    def values(self, records: Sequence[Record]) -> list[Any]:
        """The values of a batch, at the cost of plain Python.

        Raises:
            RecordError: of the first record that has none.
        """
        return self._program.values(records)

    def value(self, record: Record) -> Any:
        """The value of one record, evaluated carefully.

        Raises:
            RecordError: it has none; the message says why.
        """
        return self._program.value(record)

    @staticmethod
    def mapping(expressions: Mapping[str, Expression], *, onto_body: bool = False) -> Fields:
        """Several expressions that make one object of each record.

        Args:
            expressions: The fields of the object.
            onto_body: Whether they are added to the fields of the body, or all there is.
        """
        return Fields(expressions, onto_body=onto_body)


class Fields:
    """Expressions that make one object of each record, by one code object."""

    def __init__(self, expressions: Mapping[str, Expression], *, onto_body: bool = False) -> None:
        self._expressions = dict(expressions)
        self._onto_body = onto_body
        self._program = Program(", ".join(self._expressions), self._assemble)

    def _assemble(self, translate: Translate, emitter: Emitter) -> ast.expr:
        keys: list[ast.expr | None] = []
        values: list[ast.expr] = []
        if self._onto_body:
            keys.append(None)
            values.append(emitter.onto(name(BODY)))
        for field, expression in self._expressions.items():
            keys.append(constant(field))
            values.append(emitter.named(field, expression.translated(translate)))
        return ast.Dict(keys, values)

    def values(self, records: Sequence[Record]) -> list[dict[str, Any]]:
        """The new objects of a batch.

        Raises:
            RecordError: of the first record that has none; the message begins with the field.
        """
        return self._program.values(records)

    def value(self, record: Record) -> dict[str, Any]:
        """The new object of one record, evaluated carefully.

        Raises:
            RecordError: it has none; the message begins with the field.
        """
        made: dict[str, Any] = self._program.value(record)
        return made
