"""Orders for the demonstration: realistic, endless, and one in a hundred broken."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import orjson

__all__ = ["OrderSender", "order"]

_BATCH = 10
_BROKEN = (b"{not json", b'{"order_id": "without-a-status"}', b'"a text"')
_NAMES = ("Ada", "Grace", "Linus", "Barbara", "Edsger", "Margaret", "Donald", "Frances")


def order(number: int, chance: random.Random) -> bytes:
    """The text of an order."""
    if chance.random() < 0.01:  # noqa: PLR2004 - one in a hundred
        return chance.choice(_BROKEN)
    name = chance.choice(_NAMES)
    items: list[dict[str, Any]] = [
        {"sku": f"SKU-{chance.randrange(1000):03d}", "quantity": chance.randint(1, 3), "price": chance.randint(1, 99)}
        for _ in range(chance.randint(1, 4))
    ]
    return orjson.dumps(
        {
            "order_id": f"A-{number:06d}",
            "status": chance.choice(("paid", "paid", "open", "cancelled")),
            "total": sum(item["quantity"] * item["price"] for item in items) + 0.95,
            "customer": {"name": name, "email": f"{name}.{number}@Example.com"},
            "items": items,
        }
    )


class OrderSender(threading.Thread):
    """Puts orders into a queue at a steady rate until it is stopped."""

    def __init__(self, client: Any, queue_url: str, rate: int) -> None:
        """Send about `rate` orders a second, ten at a time."""
        super().__init__(name="orders", daemon=True)
        self._client = client
        self._queue_url = queue_url
        self._period = _BATCH / rate
        self._chance = random.Random(7)  # noqa: S311 - the same orders each time
        self._stopping = threading.Event()
        self.sent = 0

    def run(self) -> None:
        """Send until `stop`."""
        due = time.monotonic()
        while not self._stopping.is_set():
            numbers = range(self.sent, self.sent + _BATCH)
            entries = [{"Id": str(n), "MessageBody": order(n, self._chance).decode()} for n in numbers]
            self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            self.sent += _BATCH
            due += self._period
            self._stopping.wait(max(0.0, due - time.monotonic()))

    def stop(self) -> None:
        """Send no more; returns when the last orders are in the queue."""
        self._stopping.set()
        self.join()
