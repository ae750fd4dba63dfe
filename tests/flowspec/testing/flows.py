"""A flow with tests, in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowspec.loading import SpecError
from flowspec.testing import results, suite
from flowspec.testing.results import Result

__all__ = ["SPEC", "outcomes", "said", "write"]

SPEC: dict[str, Any] = {
    "name": "orders",
    "trigger": {
        "connector": "amazon-sqs",
        "account": "aws",
        "queue_url": "${QUEUE_THAT_IS_NOT_SET}",
        "external_id": "order_id",
    },
    "steps": [
        {"filter": "status == 'paid'"},
        {"map": {"id": "order_id", "cents": "round(total * 100)"}},
    ],
    "sink": {"connector": "rabbitmq", "account": {"password": "${ALSO_NOT_SET}"}, "routing_key": "billing"},
}


def write(folder: Path, *tests: dict[str, Any], **changes: Any) -> Path:
    """Write a spec with changes, and its tests into the file beside it; None takes a key away."""
    spec = {key: value for key, value in {**SPEC, **changes}.items() if value is not None}
    path = folder / "orders.json"
    path.write_text(json.dumps(spec))
    (folder / "orders.test.json").write_text(json.dumps([{"name": "test", **test} for test in tests], indent=2))
    return path


def outcomes(path: Path) -> list[Result]:
    """The results of all tests of a spec."""
    (loaded,) = suite.load_suites([path])
    return [results.result_of(case) for case in loaded.cases]


def said(path: Path) -> list[str]:
    """The problems of a spec and its tests, each without its folder."""
    with pytest.raises(SpecError) as caught:
        suite.load_suites([path])
    return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]
