"""Checks an expression against the language and hands its parts to an emitter.

Every kind of node that the language has is listed here; whatever is not listed is refused.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from typing import Any, ClassVar, NoReturn

from flowspec.errors import RecordError
from flowspec.expressions.careful import CAREFUL
from flowspec.expressions.emitters import CarefulEmitter, Emitter, call, constant, name
from flowspec.expressions.errors import ExpressionError, nearest
from flowspec.expressions.functions import FUNCTIONS
from flowspec.expressions.guards import MAX_DEPTH, bounded, budget, formatted, power
from flowspec.expressions.methods import METHODS
from flowspec.expressions.parsing import parse

__all__ = ["BODY", "NAMESPACE", "RECORD", "RECORD_FIELDS", "Translator"]

BODY = "_body"
RECORD = "_record"
RECORD_FIELDS = ("body", "external_id", "headers", "key", "meta")
"""Names that stand for the record's own parts, not for fields of its body."""

_CONSTANTS = {"true": "True", "false": "False", "null": "None", "none": "None", "undefined": "None"}
_CONSUMERS = frozenset({"all", "any", "first", "list", "max", "min", "set", "sorted", "sum", "unique", "join"})
_REDUCERS = frozenset({"all", "any", "max", "min", "sum"})
_FOLDED = (bool, int, float, str, date, timedelta, type(None))
_BUDGET = "_spend"
_ABSENT = object()


def _at_path(start: Any, path: tuple[str, ...], default: Any) -> Any:
    for part in path:
        if not isinstance(start, dict):
            return default
        start = start.get(part, _ABSENT)
        if start is _ABSENT:
            return default
    return start


def _has_path(start: Any, path: tuple[str, ...]) -> bool:
    return _at_path(start, path, _ABSENT) is not _ABSENT


NAMESPACE: dict[str, Any] = {
    "__builtins__": {},
    **CAREFUL,
    **{f"_function_{function}": entry.call for function, entry in FUNCTIONS.items()},
    **{f"_method_{method}": entry.call for method, entry in METHODS.items()},
    "_power": power, "_bounded": bounded, "_budget": budget, "_format": formatted, "_get": _at_path, "_has": _has_path,
}  # fmt: skip
"""All that the code of an expression can reach. User's names never begin with an underscore, these always do."""


class Translator:
    """Translates one expression.

    Args:
        source: The text of the expression.
        emitter: Makes the code.
        folded: Takes the values of constant parts, by the names that the code has for them; without it they are
            left to be computed for each record.
    """

    def __init__(self, source: str, emitter: Emitter, folded: dict[str, Any] | None = None) -> None:
        self._source = source
        self._emit = emitter
        self._folded = folded
        self._loop: frozenset[str] = frozenset()
        self._in_comprehension = False
        self._keeps = True
        """Whether what the comprehension makes is there all at once."""
        self._depth = 0
        self._varying = 0
        """How many parts were met that are not the same for every record."""

    def translate(self) -> ast.expr:
        """The code of the expression.

        Raises:
            ExpressionError: it is not part of the language.
        """
        tree = parse(self._source)
        try:
            return self.code_of(tree)
        except ExpressionError as error:
            if error.column is None or self._source.isascii():
                raise
            # Python counts the bytes of UTF-8.
            start = self._source.encode()[: error.column - 1]
            raise error.moved(len(start.decode()) - len(start)) from None

    def code_of(self, node: ast.expr) -> ast.expr:
        """The code of a part of the expression."""
        visit = self._VISITORS.get(type(node))
        if visit is None:
            what, hint = _REFUSED.get(type(node), (f"{type(node).__name__} is not part of the language", None))
            _refuse(what, node, hint)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            _refuse(f"the expression is nested deeper than {MAX_DEPTH} levels", node)
        varying = self._varying
        code = visit(self, node)
        if self._folded is not None and varying == self._varying and isinstance(node, (ast.BinOp, ast.Call)):
            code = self._fold(node, code)
        self._depth -= 1
        return code

    def _codes_of(self, nodes: Iterable[ast.expr]) -> list[ast.expr]:
        return [self.code_of(node) for node in nodes]

    def _fold(self, node: ast.expr, code: ast.expr) -> ast.expr:
        """Compute a part that is the same for every record, so that its mistakes are found at once."""
        careful = Translator(self._source, CarefulEmitter(self._source))
        tree = ast.fix_missing_locations(ast.Expression(careful.code_of(node)))
        try:
            value = eval(compile(tree, "<expression>", "eval"), dict(NAMESPACE))  # noqa: S307  # our own code
        except RecordError as error:
            _refuse(str(error), node)
        if self._folded is None or not isinstance(value, _FOLDED):
            return code
        if isinstance(value, (date, timedelta)):
            known = f"_folded_{len(self._folded)}"
            self._folded[known] = value
            return name(known)
        return constant(value)

    def _constant(self, node: ast.Constant) -> ast.expr:
        if node.value is not None and not isinstance(node.value, (str, bytes, int, float)):
            _refuse(f"{node.value!r} is not part of the language", node)
        return constant(node.value)

    def _path(self, node: ast.expr) -> ast.expr:
        """A field, or a field of a field: `total`, `customer.email`, `headers['x-id']`."""
        start = node
        path: list[str] = []
        while (part := _path_part(start)) is not None:
            _check_name(part, start, quoted=isinstance(start, ast.Subscript))
            path.insert(0, part)
            start = start.value  # type: ignore[attr-defined]
        if isinstance(start, ast.Name):
            return self._field(start, start.id, path)
        root = ast.get_source_segment(self._source, start) or ast.unparse(start)
        return self._emit.field(self.code_of(start), root, path)

    def _field(self, node: ast.expr, root: str, path: list[str]) -> ast.expr:
        start, path = self._start(node, root, path)
        if not path:
            return start
        return self._emit.field(start, "" if _is_body(start) else root, path)

    def _start(self, node: ast.expr, root: str, path: list[str]) -> tuple[ast.expr, list[str]]:
        """Where a path starts, and what is left of it."""
        _check_name(root, node)
        self._varying += 1
        if root in self._loop:
            return name(root), path
        if root == "body":
            return name(BODY), path
        if root in RECORD_FIELDS:
            return ast.Attribute(name(RECORD), root, ast.Load()), path
        if root in _CONSTANTS and not path:
            _refuse(f"unknown name {root!r}", node, f"write {_CONSTANTS[root]}")
        return name(BODY), [root, *path]

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        if _path_part(node) is not None:
            return self._path(node)
        if not isinstance(node.slice, ast.Slice):
            return self._emit.item(node, self.code_of(node.value), self.code_of(node.slice))
        bounds = [
            None if bound is None else self.code_of(bound)
            for bound in (node.slice.lower, node.slice.upper, node.slice.step)
        ]
        return self._emit.item(node, self.code_of(node.value), ast.Slice(*bounds))

    def _unary(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Invert):
            _refuse("'~' is not part of the language", node, "write 'not'")
        operand = self.code_of(node.operand)
        return ast.UnaryOp(node.op, operand) if isinstance(node.op, ast.Not) else self._emit.unary(node, operand)

    def _binary(self, node: ast.BinOp) -> ast.expr:
        if not isinstance(node.op, _ARITHMETIC):
            hint = "write 'and' or 'or'" if isinstance(node.op, (ast.BitAnd, ast.BitOr)) else None
            _refuse("operations on bits are not part of the language", node, hint)
        return self._emit.binary(node, self.code_of(node.left), self.code_of(node.right))

    def _boolean(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(node.op, self._codes_of(node.values))

    def _compare(self, node: ast.Compare) -> ast.expr:
        for operation, right in zip(node.ops, node.comparators, strict=True):
            singleton = isinstance(right, ast.Constant) and (right.value is None or isinstance(right.value, bool))
            if isinstance(operation, (ast.Is, ast.IsNot)) and not singleton:
                _refuse("'is' is only for None, True and False", node, "use == to compare")
        return self._emit.compare(node, self._codes_of([node.left, *node.comparators]))

    def _conditional(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(self.code_of(node.test), self.code_of(node.body), self.code_of(node.orelse))

    def _display(self, node: ast.List | ast.Tuple | ast.Set) -> ast.expr:
        values = self._codes_of(node.elts)
        return ast.Set(values) if isinstance(node, ast.Set) else type(node)(values, ast.Load())

    def _dict(self, node: ast.Dict) -> ast.expr:
        keys: list[ast.expr | None] = []
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None:
                _refuse("'**' is not part of the language", value, "use the step 'set' to add fields")
            keys.append(self.code_of(key))
        return ast.Dict(keys, self._codes_of(node.values))

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> ast.expr:
        if self._in_comprehension or len(node.generators) > 1:
            _refuse("there can be only one 'for', and none inside another", node)
        loop = node.generators[0]
        if loop.is_async:
            _refuse("'async' is not part of the language", node)
        self._in_comprehension = True
        values = self.code_of(loop.iter)
        outside, self._loop = self._loop, frozenset(_loop_names(loop.target))
        tests = self._codes_of(loop.ifs)
        generators = [
            ast.comprehension(ast.Name(_BUDGET, ast.Store()), ast.Tuple([call("_budget")], ast.Load()), [], 0),
            ast.comprehension(loop.target, call("_bounded", values), tests, 0),
        ]
        code: ast.expr
        if isinstance(node, ast.DictComp):
            code = ast.DictComp(self._made(node.key), self._made(node.value), generators)
        else:
            code = type(node)(self._made(node.elt), generators)
        self._loop, self._in_comprehension = outside, False
        return code

    def _made(self, node: ast.expr) -> ast.expr:
        """One value of a comprehension; counted where it may be a new text or list."""
        code = self.code_of(node)
        makes = any(isinstance(part, (ast.Add, ast.Mult, ast.Call, ast.Subscript)) for part in ast.walk(node))
        return call(_BUDGET, code) if makes and self._keeps else code

    def _generator(self, node: ast.GeneratorExp) -> ast.expr:
        _refuse("a comprehension needs brackets", node, "write [... for ... in ...]")

    def _call(self, node: ast.Call) -> ast.expr:
        if isinstance(node.func, ast.Name):
            function = node.func.id
            entry = FUNCTIONS.get(function)
            if entry is None:
                _unknown_function(node.func)
        elif isinstance(node.func, ast.Attribute):
            function = node.func.attr
            _check_name(function, node.func)
            entry = METHODS.get(function)
            if entry is None:
                _unknown_method(node.func)
        else:
            _refuse("only functions and methods can be called", node)
        self._varying += not entry.constant
        keywords = [keyword.arg or "**" for keyword in node.keywords]
        mismatch = entry.mismatch(len(node.args), keywords)
        if mismatch is not None:
            _refuse(f"{function}() {mismatch}", node, f"its arguments are ({entry.signature})")
        if isinstance(node.func, ast.Name) and function in ("get", "has"):
            return self._at_path(node, function)
        if function in _CONSUMERS and len(node.args) == 1 and isinstance(node.args[0], ast.GeneratorExp):
            self._keeps = function not in _REDUCERS
            arguments = [self._comprehension(node.args[0])]
            self._keeps = True
        else:
            arguments = self._codes_of(node.args)
        if isinstance(node.func, ast.Attribute):
            arguments.insert(0, self.code_of(node.func.value))
        kind = "method" if isinstance(node.func, ast.Attribute) else "function"
        named = [ast.keyword(keyword.arg, self.code_of(keyword.value)) for keyword in node.keywords]
        return self._emit.call(node, f"_{kind}_{function}", arguments, named)

    def _at_path(self, node: ast.Call, function: str) -> ast.expr:
        """`get` and `has`, whose path is split when the expression is compiled."""
        written = node.args[0]
        if not isinstance(written, ast.Constant) or not isinstance(written.value, str):
            _refuse(f"{function}() needs its path as a text", written, f"write {function}('customer.email')")
        parts = written.value.split(".")
        if not all(parts):
            _refuse(f"{written.value!r} is not a path", written, "write 'customer.email'")
        start, rest = self._start(written, parts[0], parts[1:])
        path = ast.Tuple([constant(part) for part in rest], ast.Load())
        if function == "has":
            return call("_has", start, path)
        return call("_get", start, path, *(self._codes_of(node.args[1:]) or [constant(None)]))

    _VISITORS: ClassVar[dict[type[ast.AST], Callable[[Any, Any], ast.expr]]] = {
        ast.Attribute: _path,
        ast.BinOp: _binary,
        ast.BoolOp: _boolean,
        ast.Call: _call,
        ast.Compare: _compare,
        ast.Constant: _constant,
        ast.Dict: _dict,
        ast.DictComp: _comprehension,
        ast.GeneratorExp: _generator,
        ast.IfExp: _conditional,
        ast.List: _display,
        ast.ListComp: _comprehension,
        ast.Name: _path,
        ast.Set: _display,
        ast.SetComp: _comprehension,
        ast.Subscript: _subscript,
        ast.Tuple: _display,
        ast.UnaryOp: _unary,
    }


def _is_body(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == BODY


def _refuse(what: str, node: ast.expr, hint: str | None = None) -> NoReturn:
    raise ExpressionError(what, node.col_offset + 1, hint)


def _path_part(node: ast.expr) -> str | None:
    """The name of the field that `node` reads of another, where it does."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return node.slice.value if isinstance(node.slice.value, str) else None
    return None


def _check_name(identifier: str, node: ast.expr, *, quoted: bool = False) -> None:
    if identifier.startswith("_") and not quoted:
        hint = f"for a field of that name write body[{identifier!r}]"
        _refuse(f"names beginning with an underscore are not allowed: {identifier!r}", node, hint)


def _loop_names(target: ast.expr) -> list[str]:
    """The names that a comprehension gives to its items."""
    names = target.elts if isinstance(target, ast.Tuple) else [target]
    found = []
    for variable in names:
        if not isinstance(variable, ast.Name):
            _refuse("'for' needs a plain name", variable, "write [item.id for item in items]")
        _check_name(variable.id, variable)
        if variable.id in RECORD_FIELDS:
            _refuse(f"{variable.id!r} always stands for the record's own", variable, "choose another name")
        found.append(variable.id)
    return found


def _unknown_function(node: ast.Name) -> NoReturn:
    _check_name(node.id, node)
    meant = nearest(node.id, FUNCTIONS)
    hint = f"did you mean {meant!r}?" if meant else f"known are {', '.join(FUNCTIONS)}"
    if node.id in METHODS:
        hint = f"it is a method: write value.{node.id}()"
    _refuse(f"unknown function {node.id!r}", node, hint)


def _unknown_method(node: ast.Attribute) -> NoReturn:
    place = ast.Name(node.attr, col_offset=(node.end_col_offset or 0) - len(node.attr.encode()))
    meant = nearest(node.attr, METHODS)
    hint = f"did you mean {meant!r}?" if meant else f"known are {', '.join(METHODS)}"
    if node.attr in FUNCTIONS:
        hint = f"it is a function: write {node.attr}(value)"
    _refuse(f"unknown method {node.attr!r}", place, hint)


_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)

_REFUSED: dict[type[ast.expr], tuple[str, str | None]] = {
    ast.Lambda: ("'lambda' is not part of the language", "use the step 'python' for functions of your own"),
    ast.NamedExpr: ("':=' is not part of the language", "use == to compare"),
    ast.JoinedStr: ("f-strings are not part of the language", "use + and str(), or a field that is a template"),
    ast.Starred: ("'*' before a value is not part of the language", None),
    ast.Await: ("'await' is not part of the language", None),
    ast.Yield: ("'yield' is not part of the language", None),
    ast.YieldFrom: ("'yield' is not part of the language", None),
    ast.Slice: ("a slice can only stand in brackets", None),
}
