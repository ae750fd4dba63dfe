from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel, ValidationError

from flowspec import registry
from flowspec.loading import loads
from flowspec.schema import json_schema
from flowspec.spec import FlowSpec
from tests.flowspec import parts

SPEC: dict[str, Any] = {
    "$schema": "flow.schema.json",
    "name": "paid-orders",
    "trigger": {
        "connector": "amazon-sqs", "event": "listen-queue", "account": "aws",
        "queue_url": "${QUEUE_URL}", "batch_size": "${BATCH:500}", "wait_time": "5s", "visibility_timeout": None,
    },
    "steps": [
        {"filter": "status == 'paid' and total > 100"},
        {"id": "build", "map": {"id": "order_id", "two": 2}, "on_error": "skip"},
        {"split": "items"},
        {"split": {"list": "items", "as": "item"}},
        {"log": {"message": "Order {order_id}", "level": "${LEVEL:info}"}},
        {"python": "json:dumps"},
    ],
    "sink": {"connector": "amazon-sqs", "account": {"region": "eu-west-1"}, "queue_url": "http://127.0.0.1/1/billing"},
}  # fmt: skip


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_right_spec_is_right(validator: jsonschema.Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(SPEC)] == []
    several = {key: value for key, value in SPEC.items() if key != "sink"} | {"sinks": [SPEC["sink"], SPEC["sink"]]}
    assert validator.is_valid(several)


def test_what_the_schema_takes_is_loaded(validator: jsonschema.Draft202012Validator, tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text('[aws]\nendpoint_url = "${ENDPOINT:http://127.0.0.1:9324}"\n')
    flow = loads(json.dumps(SPEC), accounts=accounts, environ={"QUEUE_URL": "http://127.0.0.1/1/orders"})
    assert [name for name, _ in flow.named_steps()] == ["filter-1", "build", "split-3", "split-4", "log-5", "python-6"]
    assert validator.is_valid(flow.to_spec())


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(spec: dict[str, Any]) -> None:
        *above, last = path
        value: Any = spec
        for key in above:
            value = value[key]
        value[last] = to

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("name", to="a b"),
        _set("sinks", to=[SPEC["sink"]]),
        _set("trigger", "queue_url", to="ftp://x"),
        _set("trigger", "batch_size", to=0),
        _set("trigger", "batch_size", to="many"),
        _set("trigger", "batch_sise", to=5),
        _set("trigger", "connector", to="amazon-sq"),
        _set("trigger", to={"event": "listen-queue", "queue_url": "http://127.0.0.1/1/orders"}),
        _set("trigger", to={"connector": "test-shop", "queue": "http://x"}),
        _set("steps", 0, to={"fliter": "x"}),
        _set("steps", 0, to={"filter": "x", "drop": ["x"]}),
        _set("steps", 0, to={"id": "nothing"}),
        _set("steps", 1, "on_error", to="explode"),
        _set("steps", 4, "log", "level", to="loud"),
        _set("sink", "account", to={"regoin": "eu-west-1"}),
        lambda spec: spec.pop("sink"),
        lambda spec: spec.pop("trigger"),
    ],
)
def test_a_wrong_spec_is_refused(
    validator: jsonschema.Draft202012Validator, change: Callable[[dict[str, Any]], object]
) -> None:
    spec = copy.deepcopy(SPEC)
    change(spec)
    assert not validator.is_valid(spec)


def test_editors_are_told_what_everything_is_for() -> None:
    schema = json_schema()
    assert all(item.get("description") for item in schema["properties"].values())
    listen_queue = schema["$defs"]["ListenQueue"]
    assert listen_queue["description"].startswith("Listen Queue: ")
    batch_size = listen_queue["properties"]["batch_size"]
    assert batch_size["description"] == "The most records the flow takes in one run."
    assert (batch_size["default"], batch_size["examples"]) == (500, [500])
    assert set(schema["$defs"]) >= {"AwsAccount", "Filter", "SendMessage"}
    assert not {"Account", "FlowSpec"} & set(schema["$defs"]), "only what is used"
    for contract in ("Action", "Step", "Trigger"):
        assert not schema["$defs"][contract].keys() - {"anyOf", "oneOf"}, "a choice of what is installed"


CONTRACTS = ("flowspec.connectors", "flowspec.lookups", "flowspec.steps.base")


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _models() -> dict[str, type[BaseModel]]:
    """Every model of the language and of what is installed, by name; no contracts, and none of the tests."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [FlowSpec, *(registry.step(kind) for kind in registry.steps())]
    for connector in registry.connectors():
        waiting += [*connector.triggers, *connector.actions]
    while waiting:
        model = waiting.pop()
        name = f"{model.__module__}.{model.__qualname__}"
        if name not in found and model.__module__ not in (parts.__name__, *CONTRACTS):
            found[name] = model
            waiting += [inner for field in model.model_fields.values() for inner in _models_in(field.annotation)]
    return found


MODELS = _models()


@pytest.mark.parametrize("name", MODELS)
def test_every_model_is_documented(name: str) -> None:
    model = MODELS[name]
    assert model.__doc__
    for field_name, field in model.model_fields.items():
        assert field.description, f"{name}.{field_name} has no description"
        assert field.description.endswith("."), f"the description of {name}.{field_name} is a sentence"
        assert field.examples or field.annotation is type(None), f"{name}.{field_name} has no examples"


@pytest.mark.parametrize("name", [name for name in MODELS if name != f"{FlowSpec.__module__}.FlowSpec"])
def test_examples_are_right(name: str) -> None:
    """Each example of a field is taken by the field's own validation."""
    model = MODELS[name]
    for field_name, field in model.model_fields.items():
        for example in field.examples or []:
            if field_name == "python":
                continue  # names a module of the reader
            key = field.alias or field_name
            try:
                model.model_validate({key: example})
            except ValidationError as error:
                wrong = [each["msg"] for each in error.errors() if each["loc"][:1] == (key,)]
                assert not wrong, f"{name}.{field_name}: {example!r}"
