"""The code of expressions, and how it is run on records."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from flowspec.errors import RecordError
from flowspec.expressions.careful import shorten
from flowspec.expressions.emitters import CarefulEmitter, Emitter, FastEmitter, name
from flowspec.expressions.parsing import one_line
from flowspec.expressions.translator import BODY, NAMESPACE, RECORD, Translator

__all__ = ["Assemble", "Program", "Translate"]

Translate: TypeAlias = Callable[[str], ast.expr]
Assemble: TypeAlias = "Callable[[Translate, Emitter], ast.expr]"
"""Puts the code of one or more expressions together, each translated from its source."""

_RECORDS = "_records"


class Program:
    """A value for each record, computed by one code object for a whole batch.

    Args:
        text: What errors call it.
        assemble: Makes the code; called again when the first bad record needs the careful variant.

    Raises:
        ExpressionError: an expression is not part of the language.
    """

    def __init__(self, text: str, assemble: Assemble) -> None:
        self._text = text
        self._assemble = assemble
        self._careful: Callable[[Any], Any] | None = None
        folded: dict[str, Any] = {}
        emitter = FastEmitter()
        code = assemble(lambda source: Translator(one_line(source), emitter, folded).translate(), emitter)
        body_of = ast.Attribute(name(RECORD), "body", ast.Load())
        batch = ast.ListComp(
            code,
            [
                ast.comprehension(ast.Name(RECORD, ast.Store()), name(_RECORDS), [], 0),
                ast.comprehension(ast.Name(BODY, ast.Store()), ast.Tuple([body_of], ast.Load()), [], 0),
            ],
        )
        self._fast: Callable[[Sequence[Any]], list[Any]] = _function(batch, [_RECORDS], folded)

    def values(self, records: Sequence[Any]) -> list[Any]:
        """The value of every record.

        Raises:
            RecordError: of the first record that has none.
        """
        try:
            return self._fast(records)
        except Exception:  # noqa: BLE001  # whatever it is, the careful variant says it better, or succeeds
            return [self.value(record) for record in records]

    def value(self, record: Any) -> Any:
        """The value of one record.

        Raises:
            RecordError: it has none; the message says why.
        """
        if self._careful is None:
            self._careful = self._compile_careful()
        try:
            return self._careful(record)
        except RecordError:
            raise
        except Exception as error:  # noqa: BLE001  # data can fail in every way that Python has
            msg = f"{shorten(self._text)}: {str(error)[:200] or repr(error)}"
            raise RecordError(msg) from None

    def _compile_careful(self) -> Callable[[Any], Any]:
        code = self._assemble(_carefully, CarefulEmitter(""))
        run = _function(code, [RECORD, BODY], {})
        return lambda record: run(record, record.body)


def _carefully(source: str) -> ast.expr:
    source = one_line(source)
    return Translator(source, CarefulEmitter(source)).translate()


def _function(code: ast.expr, parameters: Sequence[str], folded: dict[str, Any]) -> Callable[..., Any]:
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(parameter) for parameter in parameters],
        kwonlyargs=[], kw_defaults=[], defaults=[],
    )  # fmt: skip
    tree = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, code)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = compile(tree, "<expression>", "eval")
    return cast("Callable[..., Any]", eval(compiled, {**NAMESPACE, **folded}))  # noqa: S307  # our own code
