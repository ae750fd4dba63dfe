"""The server, with a run that need not be there."""

from __future__ import annotations

import http.client
import json
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from flowspec.delivery.tally import Counts, Tally
from flowspec.errors import FlowError
from pipelines.monitor import Monitor, server
from pipelines.snapshot import EndState, Snapshot
from pipelines.status import as_json

UP = Snapshot("orders", tally=Tally(received=3, delivered=3), ends={"trigger": EndState("up")})


class Run:
    """What is looked at."""

    snapshot = UP

    def look(self) -> Snapshot:
        return self.snapshot


@pytest.fixture
def run() -> Run:
    return Run()


@pytest.fixture
def monitor(run: Run) -> Iterator[Monitor]:
    with Monitor("127.0.0.1", 0, run.look) as monitor:
        yield monitor


def ask(monitor: Monitor, path: str, method: str = "GET") -> tuple[int, str, str, str]:
    """Status, content type and content length, and the body."""
    connection = http.client.HTTPConnection(urlsplit(monitor.url).netloc, timeout=60)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read().decode()
        return answer.status, answer.headers["Content-Type"], answer.headers.get("Content-Length", ""), body
    finally:
        connection.close()


def test_metrics_are_in_the_text_format(monitor: Monitor) -> None:
    status, content_type, length, body = ask(monitor, "/metrics?name=x")
    assert (status, content_type, length) == (200, "text/plain; version=0.0.4; charset=utf-8", str(len(body)))
    assert 'pipelines_records_received_total{flow="orders"} 3.0\n' in body


def test_probes_answer_with_the_reasons(monitor: Monitor, run: Run) -> None:
    assert ask(monitor, "/healthz")[::3] == (200, "alive\n")
    assert ask(monitor, "/readyz")[::3] == (200, "ready\n")
    run.snapshot = replace(UP, ends={"trigger": EndState("up"), "a": EndState("down", "☃"), "b": EndState("down", "?")})
    assert ask(monitor, "/healthz")[::3] == (200, "alive\n")
    assert ask(monitor, "/readyz")[::3] == (503, "a is down: ☃\nb is down: ?\n")


def test_the_status_is_that_of_the_command_line_with_the_places(monitor: Monitor, run: Run) -> None:
    run.snapshot.tally.places["map-1"] = Counts(passed=3)
    status, content_type, _, body = ask(monitor, "/status")
    shown = json.loads(body)
    assert (status, content_type) == (200, "application/json")
    assert shown.pop("places") == {"map-1": {"passed": 3, "filtered": 0, "failed": 0, "retried": 0, "absorbed": 0}}
    assert set(shown) == set(as_json(UP, 0.0))
    assert shown["rate"] > 0
    assert shown["trigger"]["state"] == "up"


@pytest.mark.parametrize("path", ["/metrics", "/healthz", "/readyz", "/status"])
def test_head_has_everything_but_the_body(monitor: Monitor, path: str) -> None:
    status, content_type, length, body = ask(monitor, path, "HEAD")
    assert (status, body) == (200, "")
    assert content_type == ask(monitor, path)[1]
    assert int(length) > 0


@pytest.mark.parametrize("path", ["/", "/metrics/", "/../etc/passwd", "/%6detrics"])
def test_any_other_path_is_unknown(monitor: Monitor, path: str) -> None:
    answer = ask(monitor, path)
    assert answer[::3] == (404, "not found; there are /metrics, /healthz, /readyz, /status\n")
    assert ask(monitor, path, "HEAD")[::3] == (404, "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(monitor: Monitor, method: str) -> None:
    assert ask(monitor, "/metrics", method)[0] == 501


def test_garbage_is_refused_and_the_next_one_answered(monitor: Monitor) -> None:
    address = urlsplit(monitor.url)
    for garbage in (b"\0\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET http://[ HTTP/1.1\r\n\r\n", b"\r\n"):
        with socket.create_connection((address.hostname, address.port), timeout=60) as caller:
            caller.sendall(garbage)
            caller.shutdown(socket.SHUT_WR)
            # Who sends more than is read may find the connection reset.
            with suppress(ConnectionError):
                while caller.recv(1024):
                    pass
    assert ask(monitor, "/healthz")[0] == 200


def test_callers_beyond_the_most_are_sent_away(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    # The others are silent for as long as the test lasts.
    monkeypatch.setattr(server._Handler, "timeout", 600)
    address = urlsplit(monitor.url)
    with ExitStack() as stack:
        for _ in range(server._MOST):
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
        with socket.create_connection((address.hostname, address.port), timeout=60) as caller:
            assert caller.recv(1) == b"", "it gets no answer"


def test_a_silent_caller_is_sent_away(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server._Handler, "timeout", 0.1)
    address = urlsplit(monitor.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as caller:
        caller.sendall(b"GET /metrics HTTP/1.1\r\n")
        assert caller.recv(1) == b""


def test_a_mistake_of_ours_is_logged(monitor: Monitor, run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run.snapshot = replace(UP, tally=cast("Any", None))
    with pytest.raises(http.client.RemoteDisconnected):
        ask(monitor, "/metrics")
    assert "a request for metrics or health failed" in caplog.text
    run.snapshot = UP
    assert ask(monitor, "/metrics")[0] == 200


def test_the_port_is_free_again_at_the_end(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with Monitor("127.0.0.1", 0, run.look) as first:
        port = urlsplit(first.url).port
        assert port is not None
        assert f"metrics and health are served on http://127.0.0.1:{port}" in caplog.text
        ask(first, "/metrics")
    with Monitor("127.0.0.1", port, run.look) as second:
        assert ask(second, "/healthz")[0] == 200


def test_ipv6(run: Run) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"this machine has no IPv6: {error}")
    with Monitor("::1", 0, run.look) as monitor:
        assert monitor.url.startswith("http://[::1]:")
        assert ask(monitor, "/healthz")[0] == 200


def test_an_address_that_cannot_be_used_is_a_clear_error(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(FlowError, match=f"port {port} of 127.0.0.1 is in use"),
            Monitor("127.0.0.1", port, run.look),
        ):
            pass
    with pytest.raises(FlowError, match=r"cannot listen on port 1 of no\.such\.invalid: .*check the host"):
        Monitor("no.such.invalid", 1, run.look).__enter__()
