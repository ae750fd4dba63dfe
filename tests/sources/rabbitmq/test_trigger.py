"""The spec models: what a spec may say, and what it may not."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from sources.rabbitmq import ConsumeQueue
from sources.rabbitmq.topology import Declaration


def test_a_queue_name_is_enough() -> None:
    trigger = ConsumeQueue(queue="orders")

    assert trigger.messages_ahead == 4 * trigger.batch_size
    assert trigger.on_reject == "dead_letter_store"


@pytest.mark.parametrize(
    ("fields", "ahead"),
    [({"batch_size": 10}, 40), ({"batch_size": 10_000}, 40_000), ({"batch_size": 500, "prefetch": 7}, 7)],
)
def test_prefetch_follows_the_batch_size(fields: dict[str, Any], ahead: int) -> None:
    assert ConsumeQueue(queue="orders", **fields).messages_ahead == ahead


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"queue": ""}, "at least 1 character"),
        ({"queue": "x" * 256}, "at most 255 characters"),
        ({"prefetch": 65_536}, "less than or equal to 65535"),
        ({"declare": {"type": "quorum", "durable": False}}, "a quorum queue is always durable"),
        ({"declare": {"type": "quorum", "auto_delete": True}}, "has no auto_delete"),
        ({"declare": {"type": "quorum", "max_priority": 3}}, "has no max_priority"),
        ({"declare": {"delivery_limit": 3}}, "delivery_limit is for quorum queues"),
        ({"declare": {"type": "stream"}}, "'classic' or 'quorum'"),
        ({"declare": {"arguments": {"x-max-length": 3}}}, "'x-max-length' is given as 'max_length'"),
        ({"declare": {"arguments": {"x-queue-mode": 0.5}}}, "valid integer"),
        ({"bindings": [{"exchange": ""}]}, "at least 1 character"),
        ({"on_reject": "broker", "declare": {}}, "needs declare.dead_letter_exchange"),
    ],
)
def test_what_is_refused(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        ConsumeQueue(**{"queue": "orders", **fields})


def test_a_queue_with_a_dead_letter_exchange_may_reject() -> None:
    assert ConsumeQueue(queue="orders", on_reject="broker", declare={"dead_letter_exchange": ""}).declare


def test_a_plain_declaration_has_no_arguments() -> None:
    assert Declaration().all_arguments() == {}
    assert Declaration(type="quorum").all_arguments() == {"x-queue-type": "quorum"}


def test_times_are_milliseconds() -> None:
    arguments = Declaration(message_ttl="250ms", expires="1h").all_arguments()

    assert arguments == {"x-message-ttl": 250, "x-expires": 3_600_000}


def test_the_models_need_no_pika() -> None:
    code = "import sources.rabbitmq, sys; sys.exit('pika' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
