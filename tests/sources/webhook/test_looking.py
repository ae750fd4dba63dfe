"""What can be said of an endpoint without listening, and by what a request is known."""

from __future__ import annotations

import socket
import threading

import pytest

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.errors import FatalError
from sources.webhook import Webhook
from sources.webhook.http import Request
from sources.webhook.messages import from_entry, to_entry, to_record
from tests.servers.process import server_port


def test_a_port_that_is_free_is_still_free_afterwards() -> None:
    webhook = Webhook(port=server_port(), path="/hooks/orders")

    for _ in range(2):
        assert (
            webhook.check()
            == f"port {webhook.port} of 127.0.0.1 is free to listen on, path /hooks/orders, for everybody"
        )


def test_an_address_that_cannot_be_used() -> None:
    with (
        socket.create_server(("127.0.0.1", server_port())) as other,
        pytest.raises(FatalError, match="is in use: another program, flow or run listens there"),
    ):
        Webhook(port=other.getsockname()[1]).check()
    with pytest.raises(FatalError, match=r"cannot listen on port .* of missing\.invalid"):
        Webhook(port=server_port(), host="missing.invalid", unauthenticated=True).check()


def test_requests_cannot_be_looked_at() -> None:
    context = WorkerContext("looking", 0, 1, threading.Event(), Health("trigger"))
    with pytest.raises(FatalError, match="run a copy of the flow on another port"):
        Webhook(port=server_port()).sample(1, 0.1, context)


def test_an_accepted_request_is_known_again() -> None:
    record = to_record(Request("POST", "/", "", {}, "127.0.0.1"), frozenset())
    accepted = Webhook(port=1, respond="accepted")

    assert accepted.identity(record) == accepted.identity(from_entry(to_entry(record))) == record.meta["request_id"]
    assert Webhook(port=1).identity(record) is None, "its sender sends it again, as another one"
