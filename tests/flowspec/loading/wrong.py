"""Specs that are wrong, and what is said about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from flowspec.loading import SpecError, loads
from tests.flowspec import parts

__all__ = ["GOOD", "problems", "said", "spec"]

assert parts.Store.model_fields, "registers the connectors that the specs use"

GOOD: dict[str, Any] = {
    "name": "orders",
    "trigger": {"connector": "test-shop", "event": "listen", "queue": "http://shop"},
    "sink": {"connector": "test-store"},
}


def spec(**changes: Any) -> str:
    """The text of a good spec with changes: of the trigger, where they are an object of that name."""
    changes = {**changes, "trigger": {**GOOD["trigger"], **changes.get("trigger", {})}}
    return json.dumps({key: value for key, value in {**GOOD, **changes}.items() if value is not ...}, indent=1)


def said(text: str, name: str = "spec.json", environ: Mapping[str, str] | None = None) -> str:
    """Everything that is said about a wrong spec."""
    with pytest.raises(SpecError) as caught:
        loads(text, name, environ=environ or {})
    return str(caught.value)


def problems(text: str, name: str = "spec.json", environ: Mapping[str, str] | None = None) -> list[str]:
    """The problems of a wrong spec, without their places."""
    with pytest.raises(SpecError) as caught:
        loads(text, name, environ=environ or {})
    return [str(problem).split(": ", 1)[1] for problem in caught.value.problems]
