"""A connection of pika that hands deliveries over by the read, not one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.select_connection import IOLoop
from pika.exceptions import ConnectionOpenAborted, InvalidFrameError

from sources.rabbitmq.deliveries import Deliveries, Delivery

__all__ = ["DeliveryConnection"]

_READ_BYTES = 64 * 1024
"""Pika reads 4 KiB at a time. Each read gives the GIL away, and a busy worker keeps it for milliseconds."""


class DeliveryConnection(pika.SelectConnection):
    """What pika makes of a connection, but for deliveries, which `deliver` gets.

    It overrides methods that pika does not document. Where a release of pika has them no more, the consumer's own
    callback is called, and says so.
    """

    def __init__(
        self,
        parameters: pika.ConnectionParameters,
        loop: IOLoop,
        deliveries: Deliveries,
        *,
        deliver: Callable[[list[Delivery]], None],
        opened: Callable[[], None],
        closed: Callable[[BaseException], None],
    ) -> None:
        self._deliveries = deliveries
        self._deliver = deliver
        super().__init__(
            parameters,
            on_open_callback=lambda _: opened(),
            on_open_error_callback=lambda _, error: closed(error),
            on_close_callback=lambda _, error: closed(error),
            custom_ioloop=loop,
        )

    def abort(self) -> None:
        """Close the socket without a handshake; what was not sent is lost."""
        if not self.is_closed:
            terminate: Any = self._terminate_stream  # type: ignore[attr-defined]
            terminate(ConnectionOpenAborted("given up"))

    def _proto_connection_made(self, transport: Any) -> None:
        transport._MAX_RECV_BYTES = _READ_BYTES  # noqa: SLF001
        super()._proto_connection_made(transport)  # type: ignore[misc]

    def _on_data_available(self, data: bytes) -> None:
        try:
            for found in self._deliveries.split(data):
                if isinstance(found, bytes):
                    super()._on_data_available(found)  # type: ignore[misc]
                else:
                    self._deliver(found)
        except ValueError as error:
            raise InvalidFrameError(str(error)) from error
