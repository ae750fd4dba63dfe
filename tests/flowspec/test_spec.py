from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

import flowspec
from flowspec.connectors import Action, Trigger
from flowspec.expressions import Expression
from flowspec.spec import FlowSpec
from flowspec.steps.filter import Filter
from flowspec.steps.map import Map
from flowspec.steps.python import Function, Python
from tests.flowspec.parts import Listen, ShopAccount, Store

TRIGGER = Listen(queue="http://shop")


def paid(body: Any) -> Any:
    return body


def test_a_flow_is_built_of_models() -> None:
    spec = FlowSpec(
        name="orders",
        trigger=Listen(queue="http://shop", batch_size=10, external_id=Expression("order_id")),
        steps=[Filter(filter=Expression("total > 5")), Map(map={"id": Expression("order_id")}, on_error="skip")],
        sinks=[Store()],
    )
    assert spec.to_spec() == {
        "name": "orders",
        "trigger": {
            "connector": "test-shop", "event": "listen",
            "queue": "http://shop", "batch_size": 10, "external_id": "order_id",
        },
        "steps": [{"filter": "total > 5"}, {"map": {"id": "order_id"}, "on_error": "skip"}],
        "sink": {"connector": "test-store", "action": "put"},
    }  # fmt: skip


def test_a_flow_and_its_document_are_the_same() -> None:
    document = {
        "name": "orders.v2",
        "description": "All of it.",
        "trigger": {"connector": "test-shop", "event": "listen", "queue": "http://shop", "wait": "250ms"},
        "steps": [
            {"id": "big", "filter": "total > 5"},
            {"split": {"list": "items", "as": "item"}},
            {"log": "Order {order_id}"},
        ],
        "sinks": [{"connector": "test-store", "action": "put"}, {"connector": "test-store", "path": "other"}],
    }
    spec = FlowSpec.model_validate(document)
    exported = spec.to_spec()
    assert FlowSpec.model_validate(json.loads(json.dumps(exported))) == spec
    assert exported["trigger"]["wait"] == 0.25
    assert exported["steps"] == document["steps"]
    assert exported["sinks"][1] == {"connector": "test-store", "action": "put", "path": "other"}


def test_secrets_are_masked_and_named_accounts_are_names() -> None:
    account = ShopAccount(region="us", token=SecretStr("very-secret"))
    inline = FlowSpec(name="a", trigger=Listen(queue="http://shop", account=account), sinks=[Store()])
    assert inline.to_spec()["trigger"]["account"] == {"region": "us", "token": "**********"}
    assert "very-secret" not in repr(inline)
    named = FlowSpec(name="a", trigger=Listen(queue="http://shop", account=account.named("eu-shop")), sinks=[Store()])
    assert named.to_spec()["trigger"]["account"] == "eu-shop"
    assert account.known_as is None


def test_functions_are_exported_by_their_names() -> None:
    spec = FlowSpec(name="a", trigger=TRIGGER, steps=[Python(python=Function(paid))], sinks=[Store()])
    assert spec.to_spec()["steps"] == [{"python": f"{__name__}:paid"}]
    nameless = FlowSpec(name="a", trigger=TRIGGER, steps=[Python(python=Function(lambda body: body))], sinks=[Store()])
    with pytest.raises(ValueError, match="has no name by which it can be imported"):
        nameless.to_spec()


def test_steps_and_sinks_have_ids() -> None:
    step = Filter(filter=Expression("total > 5"))
    spec = FlowSpec(
        name="a",
        trigger=TRIGGER,
        steps=[step, step, step.model_copy(update={"id": "filter-1"})],
        sinks=[Store(), Store(id="billing"), Store()],
    )
    assert [name for name, _ in spec.named_steps()] == ["filter-1-2", "filter-2", "filter-1"]
    assert [name for name, _ in spec.named_sinks()] == ["test-store-put", "billing", "test-store-put-2"]
    assert spec.named_sinks()[1][1] is spec.sinks[1]


@pytest.mark.parametrize("sinks", [[Store(id="x"), Store(id="x")], [Store(id="step")]])
def test_ids_are_used_once(sinks: list[Action]) -> None:
    step = Filter(id="step", filter=Expression("total > 5"))
    with pytest.raises(ValidationError, match=r"the id '(x|step)' is used twice"):
        FlowSpec(name="a", trigger=TRIGGER, steps=[step], sinks=sinks)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a/b", "ä", "a" * 101])
def test_names_are_fit_for_files(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        FlowSpec(name=name, trigger=TRIGGER, sinks=[Store()])


def test_a_flow_has_a_sink() -> None:
    with pytest.raises(ValidationError, match="sinks"):
        FlowSpec(name="a", trigger=TRIGGER, sinks=[])


def test_the_public_names_are_there_and_sorted() -> None:
    assert flowspec.__all__ == sorted(flowspec.__all__)
    assert dir(flowspec) == flowspec.__all__
    assert flowspec.FlowSpec is FlowSpec
    for name in flowspec.__all__:
        if name != "compile_flow":  # which loads Bytewax
            assert getattr(flowspec, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        flowspec.nothing  # noqa: B018


class Picky(Store):
    """A sink that does not go with every flow."""

    def misfit(self, trigger: Trigger, sinks: int) -> tuple[str, str] | None:
        return ("path", f"it goes with no other sink than itself, not with {sinks - 1}") if sinks > 1 else None


def test_a_sink_that_does_not_fit_the_flow_says_which_field_and_why() -> None:
    FlowSpec(name="orders", trigger=TRIGGER, sinks=[Picky()])
    with pytest.raises(ValidationError) as refused:
        FlowSpec(name="orders", trigger=TRIGGER, sinks=[Store(), Picky(path="mine")])

    (error,) = refused.value.errors()
    assert error["loc"] == ("sinks", 1, "path")
    assert error["msg"] == "it goes with no other sink than itself, not with 1"
    assert error["input"] == "mine"
