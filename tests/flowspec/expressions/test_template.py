from __future__ import annotations

import pickle

import pytest
from pydantic import BaseModel, ValidationError

from flowspec.errors import RecordError
from flowspec.expressions import ExpressionError, Template
from tests.flowspec.expressions.records import ORDER, record


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("Order {order_id} of {customer.name}", "Order 7 of Bo Li"),
        ("", ""),
        ("plain", "plain"),
        ("{{{order_id}}} }}{{", "{7} }{"),
        ("{total:.2f}|{order_id:05d}|{status:>6}|{status:*^8}", "120.50|00007|  paid|**paid**"),
        ("{customer['e-mail']}{'}:{'}", "x}:{"),
        ("{ {'a': order_id}['a'] }", "7"),
        ("{items[0:1][0].sku}", "a"),
        ("{status != 'x'}", "True"),
        ("{datetime('2024-01-31T10:00:00Z'):%d.%m.%Y %H:%M}", "31.01.2024 10:00"),
        ("{'it\\'s'}", "it's"),
        ("é {status}", "é paid"),
    ],
)
def test_text(source: str, text: str) -> None:
    template = Template(source)
    assert template.values([record(ORDER)]) == [text]
    assert template.value(record(ORDER)) == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a {b", "a brace is not closed (column 3)"),
        ("a } b", "a brace is closed that was not opened (column 3)"),
        ("a {}", "the expression is empty"),
        ("ab {lenn(x)}", "unknown function 'lenn' (column 5)"),
        ("ab {  lenn(x)}", "unknown function 'lenn' (column 7)"),
        ("{a!r}", "use str() or to_json()"),
        ("{a:1000}", "'1000' is not a format (column 4)"),
        ("{a:.9999f}", "is not a format"),
        ("{a:{b}}", "is not a format"),
        ("{a:%1000000d}", "only these letters after %"),
        ("x" * 10_001, "more than 10,000"),
        ("{__import__('os')}", "underscore"),
    ],
)
def test_mistakes(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as error:
        Template(source)
    assert message in str(error.value)


def test_errors_of_a_record() -> None:
    with pytest.raises(RecordError, match=r"^missing field 'customer\.nam'; did you mean 'name'\?$"):
        Template("{customer.nam}").values([record(ORDER)])
    with pytest.raises(RecordError, match="Unknown format code 'f'"):
        Template("{status:.2f}").values([record(ORDER)])


class Model(BaseModel):
    text: Template


def test_as_a_field() -> None:
    model = Model.model_validate({"text": "a {b}"})
    assert model.model_dump() == {"text": "a {b}"}
    assert Model.model_json_schema()["properties"]["text"] == {"type": "string", "format": "template", "title": "Text"}
    with pytest.raises(ValidationError, match=r"a brace is not closed"):
        Model.model_validate({"text": "{"})
    with pytest.raises(ValidationError, match=r"a template is a text, not int"):
        Model.model_validate({"text": 5})


def test_identity() -> None:
    template = Template("a {b}")
    assert pickle.loads(pickle.dumps(template)) == template
    assert hash(template) == hash(Template("a {b}"))
    assert repr(template) == "Template('a {b}')"
