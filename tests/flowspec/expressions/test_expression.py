from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from flowspec.errors import RecordError
from flowspec.expressions import Expression, ExpressionError
from flowspec.expressions.functions import FUNCTIONS
from flowspec.expressions.methods import METHODS
from flowspec.records import Record
from tests.flowspec.expressions.records import ORDER, record


def evaluate(source: str, body: Any = ORDER, **parts: Any) -> Any:
    """The value, which is the same in both variants."""
    expression = Expression(source)
    one = record(body, **parts)
    value = expression.value(one)
    assert expression.values([one]) == [value]
    return value


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("status == 'paid' and total > 100", True),
        ("int(total * 100)", 12050),
        ("customer.email.lower()", "bo@example.com"),
        ("customer['e-mail']", "x"),
        ("body['from'] + body.status", "shoppaid"),
        ("body", ORDER),
        ("items[1].price", 3),
        ("items[-1]['sku']", "b"),
        ("status[1:3]", "ai"),
        ("[item.sku for item in items if item.price > 2]", ["b"]),
        ("sum(item.price * 2 for item in items)", 10),
        ("any(item.sku == status for item in items)", False),
        ("', '.join(item.sku for item in items)", "a, b"),
        ("{item.sku: item.price for item in items}", {"a": 2, "b": 3}),
        ("{item.price for item in items}", {2, 3}),
        ("[name for name, value in customer.items() if value is None]", ["phone"]),
        ("[total for status in 'ab']", [120.5, 120.5]),
        ("[status for status in 'ab']", ["a", "b"]),
        ("'big' if 100 < total < 200 else 'small'", "big"),
        ("not total or -total < +order_id", True),
        ("order_id not in [1, 2] and order_id in {7}", True),
        ("customer.phone is None and status is not None", True),
        ("'-' * 3 + status * 2 + 2 * status", "---paidpaidpaidpaid"),
        ("[0] * 2", [0, 0]),
        ("order_id ** 2 // 3 % 5", 1),
        ("get('customer.email', 'none')", "Bo@Example.com"),
        ("get('customer.fax', 'none')", "none"),
        ("get('customer.name.first', 0)", 0),
        ("get('customer.phone', 'none')", None),
        ("get('nothing')", None),
        ("has('customer.phone') and not has('customer.fax') and not has('status.x')", True),
        ("[get('item.size', 'M') for item in items]", ["M", "M"]),
        ("(1, 'a')", (1, "a")),
        ("1_000 + 0x10", 1016),
        ("sorted([3, 1], reverse=True)", [3, 1]),
        ("datetime('2024-01-31T10:00:00+02:00') < datetime('2024-01-31T10:00:00')", True),
        ("total\n  > 5", True),
    ],
)
def test_value(source: str, value: Any) -> None:
    assert evaluate(source) == value


def test_parts_of_the_record() -> None:
    parts = {"meta": {"n": 1}, "headers": {"x-id": "h"}, "key": "k", "external_id": "e"}
    source = "[meta.n, headers['x-id'], key, external_id, get('meta.m', 2), has('headers.y')]"
    assert evaluate(source, {"meta": 5, "key": 6}, **parts) == [1, "h", "k", "e", 2, False]
    assert evaluate("body.meta", {"meta": 5}) == 5


def test_a_body_need_not_be_an_object() -> None:
    assert evaluate("body.upper()", "abc") == "ABC"
    assert evaluate("body[0] + 1", [1]) == 2
    assert evaluate("has('a.b') or get('a', 3)", None) == 3


@pytest.mark.parametrize("name", FUNCTIONS)
def test_examples_of_functions(name: str) -> None:
    assert evaluate(FUNCTIONS[name].example, {}) == FUNCTIONS[name].result
    assert name in FUNCTIONS[name].example


@pytest.mark.parametrize("name", METHODS)
def test_examples_of_methods(name: str) -> None:
    assert evaluate(METHODS[name].example, {}) == METHODS[name].result
    assert f".{name}(" in METHODS[name].example


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("totl", "missing field 'totl'; did you mean 'total'?"),
        ("customer.emial.lower()", "missing field 'customer.emial'; did you mean 'email'?"),
        ("customer['zip-code']", "missing field \"customer['zip-code']\""),
        ("body.zzz", "missing field 'zzz'"),
        ("meta.zzz", "missing field 'meta.zzz'"),
        ("[item.zzz for item in items]", "missing field 'item.zzz'"),
        ("items[0].zzz", "missing field 'items[0].zzz'"),
        ("customer.name.first", "field 'customer.name' is not an object but text 'Bo Li', so it has no field 'first'"),
        ("customer.phone.home", "field 'customer.phone' is not an object but null, so it has no field 'home'"),
        ("items[5]", "items[5]: there are only 2 items"),
        ("items[[1]]", "items[[1]]: list [{'price': 2, 'sku': 'a'}, {'price': 3, 'sku': 'b'}] has no item list [1]"),
        ("body[order_id]", "body[order_id]: there is no number 7"),
        ("total + status", "total + status: '+' does not work between number 120.5 and text 'paid'"),
        ("status % 2", "status % 2: '%' does not format text; write a template, or use + and str()"),
        ("1 < total < status", "1 < total < status: '<' does not work between number 120.5 and text 'paid'"),
        ("-status", "-status: text 'paid' has no sign"),
        ("total / (order_id - 7)", "total / (order_id - 7): float division by zero"),
        ("int(status)", "int(status): invalid literal for int() with base 10: 'paid'"),
        ("datetime(status)", "datetime(status): 'paid' is not a date and time like '2024-01-31T10:00:00Z'"),
        ("decimal(status)", "decimal(status): 'paid' is not a number"),
        ("[x for x in total]", "[x for x in total]: for needs a list, not float"),
    ],
)
def test_errors_of_a_record(source: str, message: str) -> None:
    expression = Expression(source)
    with pytest.raises(RecordError) as one:
        expression.value(record(ORDER))
    with pytest.raises(RecordError) as batch:
        expression.values([record(ORDER)])
    assert str(one.value) == str(batch.value) == message


def test_wrong_types_of_arguments_are_named() -> None:
    with pytest.raises(RecordError, match=r"^total\.upper\(\): does not work with number 120\.5: "):
        Expression("total.upper()").value(record(ORDER))


def test_a_body_that_is_no_object_is_named() -> None:
    with pytest.raises(RecordError, match=r"^the body is not an object but list \[1\], so it has no field 'total'$"):
        Expression("total").value(record([1]))


def test_errors_never_show_much_data() -> None:
    body = {"text": "x" * 100_000, "list": [{"a": "y" * 1000}] * 1000}
    for source in ("text + 1", "list + 1", "int(text)", "text.a", "float(text)", "list.lower()"):
        with pytest.raises(RecordError) as error:
            Expression(source).value(record(body))
        assert len(str(error.value)) < 400


def test_the_error_is_the_first_bad_record() -> None:
    bodies: list[dict[str, Any]] = [{"a": 1}, {"a": "two"}, {"b": 3}]
    with pytest.raises(RecordError, match="text 'two'"):
        Expression("a + 1").values([record(body) for body in bodies])


def test_no_records() -> None:
    assert Expression("a").values([]) == []


def test_a_batch_is_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = Expression("total > 100")
    fast = expression._program._fast
    calls: list[int] = []

    def counted(records: Sequence[Record]) -> list[Any]:
        calls.append(len(records))
        return fast(records)

    monkeypatch.setattr(expression._program, "_fast", counted)
    monkeypatch.setattr(expression._program, "value", pytest.fail)
    assert expression.values([record(ORDER)] * 1000) == [True] * 1000
    assert calls == [1000]


def test_constant_parts_are_computed_once() -> None:
    expression = Expression("now() > datetime('2024-01-31T10:00:00Z') + days(2)")
    constants = expression._program._fast.__globals__
    assert [str(value) for name, value in constants.items() if name.startswith("_folded_")][-1] == (
        "2024-02-02 10:00:00+00:00"
    )


def test_mapping() -> None:
    fields = {"id": Expression("order_id"), "cents": Expression("int(total * 100)"), "version": Expression(2)}
    made = {"id": 7, "cents": 12050, "version": 2}
    assert Expression.mapping(fields).values([record(ORDER)]) == [made]
    assert Expression.mapping(fields).value(record(ORDER)) == made
    assert Expression.mapping(fields, onto_body=True).values([record(ORDER)]) == [{**ORDER, **made}]
    assert "cents" not in ORDER


def test_mapping_with_constant_dates_in_two_fields() -> None:
    fields = {name: Expression(f"date('2024-01-0{name}').isoformat() + str(now() - days({name}))[:0]") for name in "12"}
    days = {name: Expression(f"now() - now() + days({name})") for name in "12"}
    assert Expression.mapping(fields).values([record()]) == [{"1": "2024-01-01", "2": "2024-01-02"}]
    assert [round(span.total_seconds()) for span in Expression.mapping(days).values([record()])[0].values()] == [
        86400,
        172800,
    ]


def test_errors_of_a_mapping_begin_with_the_field() -> None:
    mapping = Expression.mapping({"id": Expression("order_id"), "cents": Expression("totl")}, onto_body=True)
    with pytest.raises(RecordError, match=r"^cents: missing field 'totl'; did you mean 'total'\?$"):
        mapping.values([record(ORDER)])
    with pytest.raises(RecordError, match=r"^the body is not an object but text 'x', so no field can be set$"):
        mapping.values([record("x")])


class Model(BaseModel):
    value: Expression
    other: Expression | None = None


@pytest.mark.parametrize("spec", ["a + 1", 5, 1.5, True, None])
def test_as_a_field(spec: Any) -> None:
    model = Model(value=spec)
    assert model.value == Expression(spec)
    assert Model.model_validate_json(model.model_dump_json()) == model
    dumped = model.model_dump()["value"]
    assert (type(dumped), dumped) == (type(spec), spec)
    assert Model(value=model.value).value is model.value


def test_an_optional_field_can_be_null() -> None:
    assert TypeAdapter(Expression | None).validate_python(None) is None


def test_constants() -> None:
    values = [Expression(spec).values([record()])[0] for spec in (5, 1.5, True, None)]
    assert values == [5, 1.5, True, None]
    assert Expression(True) != Expression(1)


def test_a_mistake_is_the_error_of_the_field() -> None:
    with pytest.raises(ValidationError) as error:
        Model.model_validate({"value": "lenn(x)", "other": []})
    assert [(line["loc"], line["msg"]) for line in error.value.errors()] == [
        (("value",), "unknown function 'lenn' (column 1); did you mean 'len'?"),
        (("other",), "an expression is a text, number, boolean or null, not list"),
    ]


def test_json_schema() -> None:
    assert Model.model_json_schema()["properties"]["value"]["format"] == "expression"


def test_identity() -> None:
    expression = Expression("a + 1")
    assert pickle.loads(pickle.dumps(expression)) == expression
    assert {expression, Expression("a + 1"), Expression("a+1")} == {expression, Expression("a+1")}
    assert repr(expression) == "Expression('a + 1')"
    assert expression.source == "a + 1"
    assert expression != "a + 1"


def test_an_error_is_a_value_error_with_its_column() -> None:
    with pytest.raises(ExpressionError) as error:
        Expression("'é' + lenn(x)")
    assert isinstance(error.value, ValueError)
    assert (error.value.column, error.value.hint) == (7, "did you mean 'len'?")
