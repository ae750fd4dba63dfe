from __future__ import annotations

import logging

import pytest
from pydantic import ValidationError

from flowspec.steps.log import Log
from tests.flowspec.steps.run import fail, run


def test_logs_and_passes_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pipelines.flow")
    assert run(Log.model_validate({"log": "Order {id} 100%"}), {"id": 1}, {"id": 2}) == [{"id": 1}, {"id": 2}]
    run(Log.model_validate({"log": {"level": "warning", "message": "late"}}), {})
    assert caplog.record_tuples == [
        ("pipelines.flow", logging.INFO, "Order 1 100%"),
        ("pipelines.flow", logging.INFO, "Order 2 100%"),
        ("pipelines.flow", logging.WARNING, "late"),
    ]


def test_long_messages_are_cut(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipelines.flow")
    run(Log.model_validate({"log": "{text}"}), {"text": "x" * 5000})
    assert len(caplog.messages[0]) == 1000


def test_a_bad_record_before_anything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "pipelines.flow")
    assert fail(Log.model_validate({"log": "{id}"}), {"id": 1}, {}) == "missing field 'id'"
    assert caplog.messages == []


def test_the_step_is_not_run_twice_on_a_record() -> None:
    assert not Log.batched


def test_mistakes() -> None:
    with pytest.raises(ValidationError, match="a brace is not closed"):
        Log.model_validate({"log": "Order {id"})
    with pytest.raises(ValidationError, match="'debug', 'info', 'warning' or 'error'"):
        Log.model_validate({"log": {"level": "loud", "message": "x"}})
    assert Log.model_validate({"log": "Order {id}"}).model_dump()["log"] == "Order {id}"
