"""Case 34: what is asked of the model of any trigger or sink, and of its account."""
# ruff: noqa: S101 - tests are made of assertions

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from flowspec import SpecError, loads
from flowspec.registry import account_model

if TYPE_CHECKING:
    from flowspec.connectors import Action, SpecModel, Trigger

__all__ = ["check_mistakes", "check_model"]


def check_model(part: type[Trigger] | type[Action]) -> None:
    """See that every field, of the account as well, has a description and an example."""
    account = account_model(part)
    for model in filter(None, (part, account)):
        _check_fields(model)


def check_mistakes(part: type[Trigger] | type[Action], place: str) -> None:
    """See that the error about an unknown key has its place and the nearest name."""
    offer = "event" if place == "trigger" else "action"
    names = {name: part.model_fields[name].default for name in ("connector", offer)}
    own = max((name for name in part.model_fields if name not in names), key=len)
    wrong = own[:-1] + "x" if own[-1] != "x" else own[:-1]
    spec: dict[str, Any] = {
        "name": "mistaken",
        "trigger": {"connector": "no-such"},
        "sink": {"connector": "drop"},
        place: {**names, wrong: 1},
    }
    with pytest.raises(SpecError) as raised:
        loads(json.dumps(spec))
    lines = [line for line in str(raised.value).splitlines() if wrong in line]
    assert lines, f"nothing is said about the unknown key {wrong!r}: {raised.value}"
    assert place in lines[0]
    assert f"{own!r}" in lines[0], f"{own!r} is not named as the nearest: {lines[0]}"


def _check_fields(model: type[SpecModel]) -> None:
    assert model.__doc__, f"{model.__name__} does not say what it is for"
    for name, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{name} has no description"
        assert field.examples, f"{model.__name__}.{name} has no example"
