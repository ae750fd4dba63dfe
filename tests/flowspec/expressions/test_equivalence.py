"""On what both know, the language is Python: the fast code, the careful code and `eval` give the same."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from flowspec.errors import RecordError
from flowspec.expressions import Expression, ExpressionError
from tests.flowspec.expressions.records import record

_NAMES = ("a", "b", "c", "d", "e")
_values: st.SearchStrategy[Any] = st.one_of(
    st.integers(-20, 20),
    st.floats(-100, 100),
    st.text("abAB 1", max_size=5),
    st.booleans(),
    st.none(),
    st.lists(st.integers(-3, 3), max_size=4),
)
_bodies = st.fixed_dictionaries(dict.fromkeys(_NAMES, _values))
_atoms = st.one_of(
    st.sampled_from(_NAMES),
    st.integers(0, 30).map(str),
    st.sampled_from(["1.5", "0.0", "'ab'", "''", "True", "None", "[]", "[1, 2]", "'B'"]),
)
_BINARY = ["+", "-", "*", "/", "//", "%", "==", "!=", "<", "<=", ">", ">=", "in", "not in", "and", "or"]
_CALLS = ["len({})", "str({})", "abs({})", "sorted({})", "min({})", "sum({})", "bool({})", "list({})"]
_METHODS = ["upper()", "split()", "strip('a')", "replace('a', 'b')", "startswith('a')", "count('a')", "title()"]


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from(_BINARY), inner).map(lambda part: f"({part[0]} {part[1]} {part[2]})"),
        st.tuples(inner, inner, inner).map(lambda part: f"({part[0]} < {part[1]} <= {part[2]})"),
        st.tuples(inner, inner, inner).map(lambda part: f"({part[0]} if {part[1]} else {part[2]})"),
        st.tuples(inner, st.integers(0, 3)).map(lambda part: f"({part[0]} ** {part[1]})"),
        inner.map(lambda part: f"(not {part})"),
        inner.map(lambda part: f"(-{part})"),
        inner.map(lambda part: f"({part} is None)"),
        st.tuples(inner, inner).map(lambda part: f"{part[0]}[{part[1]}]"),
        st.tuples(inner, inner).map(lambda part: f"{part[0]}[{part[1]}:]"),
        st.tuples(inner, inner).map(lambda part: f"[{part[0]}, {part[1]}]"),
        st.tuples(inner, inner).map(lambda part: f"{{'k': {part[0]}, 'l': {part[1]}}}"),
        st.tuples(inner, inner).map(lambda part: f"[({part[0]}, x) for x in {part[1]} if x != a]"),
        st.tuples(inner, inner).map(lambda part: f"any(x == {part[0]} for x in {part[1]})"),
        st.tuples(st.sampled_from(_CALLS), inner).map(lambda part: part[0].format(part[1])),
        st.tuples(inner, st.sampled_from(_METHODS)).map(lambda part: f"({part[0]}).{part[1]}"),
    )


_sources = st.recursive(_atoms, _grown, max_leaves=8)


def _python(source: str, body: dict[str, Any]) -> tuple[Any, bool]:
    """What Python gives, and whether it gives anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return eval(source, dict(body)), True
        except Exception:
            return None, False


def _ours(evaluate: Callable[[], Any]) -> tuple[Any, bool]:
    try:
        return evaluate(), True
    except RecordError:
        return None, False


def _compiled(source: str) -> Expression | ExpressionError:
    try:
        return Expression(source)
    except ExpressionError as error:
        return error


@settings(max_examples=400)
@given(_sources, _bodies)
def test_same_as_python(source: str, body: dict[str, Any]) -> None:
    expected, works = _python(source, body)
    expression = _compiled(source)
    if isinstance(expression, ExpressionError):
        # A constant part that fails is refused even where `or` or `if` would never come to it.
        assert expression.column is not None
        assert not works or "only one 'for'" in expression.what or ": " in expression.what
        return
    careful, explained = _ours(lambda: expression.value(record(body)))
    fast, computed = _ours(lambda: expression.values([record(body)])[0])
    assert computed == explained
    assert repr(fast) == repr(careful)
    if not works or explained:
        assert explained == works
        assert repr(careful) == repr(expected)
    else:
        assert "%" in source  # formatting of text works in Python and not here


@settings(max_examples=300)
@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_an_expression_error(source: str) -> None:
    assert str(_compiled(source))


@settings(max_examples=300)
@given(st.text("ab.()[]{}'\"+-*=! for in,:1", max_size=40))
def test_nearly_expressions_are_expressions_or_expression_errors(source: str) -> None:
    assert str(_compiled(source))
