"""What the language refuses, when it is loaded or for a record, and never does."""

from __future__ import annotations

import pytest

from flowspec.errors import RecordError
from flowspec.expressions import Expression, ExpressionError
from tests.flowspec.expressions.records import record


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("status = 'paid'", "use == to compare"),
        ("a and status = 'paid'", "use == to compare"),
        ("a == 1 && b", "write 'and'"),
        ("a || b", "write 'or'"),
        ("a === b", "write '=='"),
        ("a ? b : c", "write 'a if condition else b'"),
        ("a == true", "write True"),
        ("null", "write None"),
        ("undefined is None", "write None"),
        ("from == 'x'", "body['from']"),
        ("lenn(x)", "did you mean 'len'?"),
        ("upper(x)", "it is a method: write value.upper()"),
        ("x.len()", "it is a function: write len(value)"),
        ("x.uper()", "did you mean 'upper'?"),
        ("len(a, b)", "len() takes at most 1 argument, not 2"),
        ("sorted(a, key=b)", "sorted() has no argument named 'key'"),
        ("len()", "len() needs 1 argument, not 0"),
        ("len(**a)", "len() has no argument named '**'"),
        ("get(a)", "get() needs its path as a text"),
        ("get('a..b')", "'a..b' is not a path"),
        ("a is 5", "'is' is only for None, True and False"),
        ("f'{a}'", "f-strings are not part of the language"),
        ("lambda: 1", "'lambda' is not part of the language"),
        ("[*a]", "'*' before a value"),
        ("max(*a)", "'*' before a value"),
        ("{**a}", "use the step 'set'"),
        ("(a := 5)", "':=' is not part of the language"),
        ("~a", "write 'not'"),
        ("a | b", "write 'and' or 'or'"),
        ("1 << 1000000000", "operations on bits"),
        ("a @ b", "operations on bits"),
        ("x for x in a", "the expression cannot be read"),
        ("(x for x in a)", "a comprehension needs brackets"),
        ("len(x for x in a)", "a comprehension needs brackets"),
        ("[x for x in a for y in b]", "only one 'for'"),
        ("[[y for y in x] for x in a]", "only one 'for'"),
        ("[x for x in [y for y in a]]", "only one 'for'"),
        ("[1 for body in a]", "choose another name"),
        ("[1 for x.y in a]", "'for' needs a plain name"),
        ("[1 for _x in a]", "underscore"),
        ("[1 for _record in a]", "underscore"),
        ("", "the expression is empty"),
        ("  ", "the expression is empty"),
        ("a +", "the expression cannot be read"),
        ("a; b", "the expression cannot be read"),
        ("a\0", "the expression cannot be read"),
        ("...", "not part of the language"),
        ("1j", "not part of the language"),
        ("yield a", "is a word of the language"),
        ("(yield a)", "'yield' is not part of the language"),
        ("await a", "'await' is not part of the language"),
        ("import os", "is a word of the language"),
        ("del a", "is a word of the language"),
        ("a[::b:]", "cannot be read"),
        ("[x async for x in a]", "'async' is not part of the language"),
        ("1 / 0", "1 / 0: division by zero"),
        ("'a' + 1", "'+' does not work between text 'a' and number 1"),
        ("date('2024-13-01')", "is not a date like '2024-01-31'"),
    ],
)
def test_mistakes_are_explained(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        Expression(source)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os').system('true')",
        "().__class__.__bases__[0].__subclasses__()",
        "body.__class__",
        "body._secret",
        "_body",
        "_record.body",
        "_records",
        "_function_int",
        "_power(9, 9)",
        "_spend",
        "__builtins__",
        "eval('1')",
        "exec('1')",
        "open('/etc/passwd')",
        "compile('1', '', 'eval')",
        "getattr(body, 'x')",
        "globals()",
        "vars()",
        "range(10**9)",
        "print(1)",
        "input()",
        "type('X', (), {})",
        "'{0.__class__}'.format(body)",
        "'{x}'.format_map(body)",
        "'a'.translate(body)",
        "body.clear()",
        "body.update({})",
        "body.pop('a')",
        "body.setdefault('a', 1)",
        "items.append(1)",
        "items.sort()",
        "(lambda: 1)()",
        "[len][0]('a')",
        "body['f']()",
        "len(a)(b)",
        "str.upper('a')",
        "9**9**9",
        "2**100000",
        "'x' * 10**9",
        "10**9 * 'x'",
        "[0] * 10**9",
        "(0,) * 10**9",
        "b'x' * 10**9",
        "'%1000000000d' % 1",
        "'x'.ljust(10**9)",
        "'x'.rjust(10**9)",
        "'x'.center(10**9)",
        "'x'.zfill(10**9)",
        "('a' * 100000).replace('', 'b' * 1000)",
        "('a' * 100000).replace('a', 'b' * 1000)",
        "('a' * 100000).join(list('b' * 1000))",
        "int('9' * 5000)",
        "int('f' * 5000, 16)",
        "int(decimal('1e999999999'))",
        "round(5, -10**9)",
        "decimal('1E+999999999')",
        "decimal('10') ** 1000000",
        "now().strftime('%1000000000d')",
        "date('2024-01-31').strftime('%1000000000d')",
        "date('2024-01-31').strftime('%Y' * 100)",
        "b'aa'.decode('idna')",
        "timestamp(10**30)",
        "days(10**30)",
        "(" * 60 + "1" + ")" * 60 + "+" + "-" * 60 + "1",
        "-" * 1500 + "1",
        "(" * 900 + "1" + ")" * 900,
        "[" * 150 + "]" * 150,
        "a" + ".a" * 999 + "." + "a" * 10_000,
        "1" + "+1" * 5000,
        "a." * 60 + "upper()" + ".upper()" * 60,
        "not " * 400 + "a",
    ],
)
def test_refused_when_loaded_or_for_every_record(source: str) -> None:
    body = {"a": "x" * 1000, "items": [1], "f": len, "b": 1}
    with pytest.raises((ExpressionError, RecordError)):
        Expression(source).values([record(body)])


@pytest.mark.parametrize(
    "source",
    [
        "text * number",
        "number * text",
        "list * number",
        "number ** number",
        "format % 1",
        "text.ljust(number)",
        "text.replace('', text)",
        "text.join(list)",
        "int(digits)",
        "round(1, -number)",
        "int(decimal(exponent))",
        "now().strftime(format)",
        "[text + text for x in list]",
        "[text.ljust(1000000) for x in list]",
        "{x: text + str(x) for x in list}",
        "[x for x in long]",
        "[str(text) + 'x' for x in list]",
        "[list[0:] for x in list]",
        "any(x for x in long)",
        "thing.secret",
        "thing.upper()",
        "thing.items()",
        "thing.isoformat()",
        "[x for x in thing]",
    ],
)
def test_refused_because_of_the_data(source: str) -> None:
    class Thing:
        secret = "s"

        def upper(self) -> str:
            pytest.fail("called")

        isoformat = items = __iter__ = upper

    body = {
        "text": "x" * 5000, "number": 10**9, "list": list(range(5000)), "long": [0] * 100_001, "digits": "9" * 5000,
        "exponent": "1e999999999", "format": "%1000000000d", "thing": Thing(),
    }  # fmt: skip
    with pytest.raises(RecordError):
        Expression(source).values([record(body)])


def test_the_body_is_never_changed() -> None:
    body = {"a": [3, 1], "o": {"b": 1}}
    for source in ("sorted(a)", "a + [1]", "o.get('c', 1)", "unique(a)", "list(a)"):
        Expression(source).values([record(body)])
    assert body == {"a": [3, 1], "o": {"b": 1}}
