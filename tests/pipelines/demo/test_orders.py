"""The orders of the demonstration, and their way into a queue."""

from __future__ import annotations

import json
import random

from pipelines.demo.orders import OrderSender, order
from tests.pipelines.flows import eventually
from tests.servers.sqs import SqsServer


def test_most_are_orders_and_a_few_are_broken() -> None:
    chance = random.Random(1)
    texts = [order(number, chance) for number in range(5_000)]

    good = []
    for number, text in enumerate(texts):
        try:
            body = json.loads(text)
        except ValueError:
            continue
        if isinstance(body, dict) and "status" in body:
            assert body["order_id"] == f"A-{number:06d}"
            good.append(body)

    assert 10 < len(texts) - len(good) < 100
    assert {body["status"] for body in good} == {"paid", "open", "cancelled"}
    assert any(body["total"] > 100 for body in good)
    assert any(body["total"] <= 100 for body in good)
    assert all("@" in body["customer"]["email"] for body in good)


def test_all_that_counts_as_sent_is_in_the_queue(sqs: SqsServer) -> None:
    url = sqs.create_queue()
    sender = OrderSender(sqs.client, url, rate=2_000)

    sender.start()
    eventually(lambda: sender.sent >= 100, "a hundred are sent")
    sender.stop()

    assert not sender.is_alive()
    assert sqs.depth(url) == (sender.sent, 0)
