"""The two ways in which a checked expression becomes code: the fast one, and the one that explains itself.

Both mean the same. The fast one may only fail where the careful one succeeds, never the other way round: whatever
fails is evaluated again carefully.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Protocol

from flowspec.expressions.careful import shorten

__all__ = ["CarefulEmitter", "Emitter", "FastEmitter", "call", "constant", "name"]

_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%", ast.Pow: "**",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Is: "is",
    ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in", ast.USub: "negative", ast.UAdd: "positive",
}  # fmt: skip


def name(identifier: str) -> ast.Name:
    """A name that is read."""
    return ast.Name(identifier, ast.Load())


def constant(value: object) -> ast.Constant:
    """A value that stands in the code."""
    return ast.Constant(value)  # type: ignore[arg-type]


def call(function: str, *arguments: ast.expr, keywords: Sequence[ast.keyword] = ()) -> ast.Call:
    """A call of one of the names that the code is given."""
    return ast.Call(name(function), list(arguments), list(keywords))


def _tuple(values: Sequence[str]) -> ast.Tuple:
    return ast.Tuple([constant(value) for value in values], ast.Load())


def _thunk(body: ast.expr) -> ast.Lambda:
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, body)


class Emitter(Protocol):
    """Makes the code of what can fail; `node` is the source, the other arguments are already code."""

    def field(self, start: ast.expr, root: str, path: Sequence[str]) -> ast.expr:
        """The field at `path` below `start`."""
        ...

    def item(self, node: ast.expr, value: ast.expr, index: ast.expr) -> ast.expr:
        """`value[index]`."""
        ...

    def unary(self, node: ast.UnaryOp, operand: ast.expr) -> ast.expr:
        """A sign."""
        ...

    def binary(self, node: ast.BinOp, left: ast.expr, right: ast.expr) -> ast.expr:
        """An arithmetic operation."""
        ...

    def compare(self, node: ast.Compare, operands: Sequence[ast.expr]) -> ast.expr:
        """A chain of comparisons."""
        ...

    def call(
        self, node: ast.expr, function: str, arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> ast.expr:
        """A call of a function or method."""
        ...

    def named(self, field: str, value: ast.expr) -> ast.expr:
        """The value of one field of a new body."""
        ...

    def onto(self, body: ast.expr) -> ast.expr:
        """The body that fields are put onto."""
        ...


class FastEmitter:
    """Emits plain Python operations, and calls where work must be bounded."""

    def field(self, start: ast.expr, root: str, path: Sequence[str]) -> ast.expr:
        """Subscripts."""
        for part in path:
            start = ast.Subscript(start, constant(part), ast.Load())
        return start

    def item(self, node: ast.expr, value: ast.expr, index: ast.expr) -> ast.expr:
        """A subscript."""
        return ast.Subscript(value, index, ast.Load())

    def unary(self, node: ast.UnaryOp, operand: ast.expr) -> ast.expr:
        """The operation itself."""
        return ast.UnaryOp(node.op, operand)

    def binary(self, node: ast.BinOp, left: ast.expr, right: ast.expr) -> ast.expr:
        """The operation itself; `*` and `%` of numbers only.

        A plus sign is next to nothing for a number and an error for text and lists, so that they get to the
        careful variant, which repeats them within bounds.
        """
        if isinstance(node.op, ast.Pow):
            return call("_power", left, right)
        if isinstance(node.op, ast.Mult) and not (_is_float(left) or _is_float(right)):
            left, right = _number(left), _number(right)
        if isinstance(node.op, ast.Mod):
            left = _number(left)
        return ast.BinOp(left, node.op, right)

    def compare(self, node: ast.Compare, operands: Sequence[ast.expr]) -> ast.expr:
        """The comparison itself."""
        return ast.Compare(operands[0], node.ops, list(operands[1:]))

    def call(
        self,
        node: ast.expr,
        function: str,
        arguments: Sequence[ast.expr],
        keywords: Sequence[ast.keyword],
    ) -> ast.expr:
        """The call itself."""
        return call(function, *arguments, keywords=keywords)

    def named(self, field: str, value: ast.expr) -> ast.expr:
        """The value itself."""
        return value

    def onto(self, body: ast.expr) -> ast.expr:
        """The body itself."""
        return body


def _is_float(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, float)


def _number(node: ast.expr) -> ast.expr:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node
    return ast.UnaryOp(ast.UAdd(), node)


class CarefulEmitter:
    """Emits calls that know the source of what they do."""

    def __init__(self, source: str) -> None:
        self._source = source

    def _text(self, node: ast.expr) -> ast.Constant:
        return constant(shorten(ast.get_source_segment(self._source, node) or ast.unparse(node)))

    def field(self, start: ast.expr, root: str, path: Sequence[str]) -> ast.expr:
        """Every level is looked at."""
        return call("_field", start, constant(root), _tuple(path))

    def item(self, node: ast.expr, value: ast.expr, index: ast.expr) -> ast.expr:
        """`index` becomes an argument."""
        if isinstance(index, ast.Slice):
            bounds = [constant(None) if bound is None else bound for bound in (index.lower, index.upper, index.step)]
            index = call("_slice", *bounds)
        return call("_item", self._text(node), value, index)

    def unary(self, node: ast.UnaryOp, operand: ast.expr) -> ast.expr:
        """As a binary operation without a right side."""
        return call("_binary", self._text(node), constant(_SYMBOLS[type(node.op)]), operand, constant(None))

    def binary(self, node: ast.BinOp, left: ast.expr, right: ast.expr) -> ast.expr:
        """The operation by its symbol."""
        return call("_binary", self._text(node), constant(_SYMBOLS[type(node.op)]), left, right)

    def compare(self, node: ast.Compare, operands: Sequence[ast.expr]) -> ast.expr:
        """Operands are thunks, so that the chain stops where Python's does."""
        symbols = _tuple([_SYMBOLS[type(operation)] for operation in node.ops])
        return call("_compare", self._text(node), symbols, *map(_thunk, operands))

    def call(
        self, node: ast.expr, function: str, arguments: Sequence[ast.expr], keywords: Sequence[ast.keyword]
    ) -> ast.expr:
        """The function becomes an argument."""
        return call("_call", self._text(node), name(function), *arguments, keywords=keywords)

    def named(self, field: str, value: ast.expr) -> ast.expr:
        """A thunk, so that its error can be given the field's name."""
        return call("_named", constant(field), _thunk(value))

    def onto(self, body: ast.expr) -> ast.expr:
        """Checked to be an object."""
        return call("_object", body)
