"""The reader by itself, spoken to byte by byte over real connections."""

from __future__ import annotations

import gc
import re
import socket
import struct
from contextlib import suppress
from pathlib import Path

import pytest

from flowspec.errors import FatalError
from sources.webhook.reader import WebhookReader
from tests.pipelines.flows import eventually
from tests.secrets import secret
from tests.sources.webhook.conftest import Client, Open, delivering, post, request

SECRET = secret("Webhook")


def read_one(reader: WebhookReader) -> bytes | str:
    """Wait for one record, and do not commit it."""
    found: list[bytes | str] = []

    def look() -> bool:
        found.extend(record.raw for record in reader.read(1, 0.05))
        return bool(found)

    eventually(look, "a record is there")
    return found[0]


class TestRecords:
    """What is known of a request."""

    def test_a_request_is_a_record_with_all_that_was_said(self, open_reader: Open, port: int) -> None:
        reader = open_reader(methods=["PUT"])
        with delivering(reader) as records:
            answer = post(
                port,
                "X-Kind: café",
                "X-Many: one",
                "X-Many: two",
                body=b"not \xff JSON",
                path="/ho%6Fk?a=1&b=&a=2&c=%20x",
                method="PUT",
            )

        (record,) = records
        assert answer.status == 202
        assert record.raw == b"not \xff JSON"
        assert record.key is None
        assert record.headers == {"host": "test", "x-kind": "café", "x-many": "one, two", "content-length": "10"}
        assert record.meta.pop("received_at").tzinfo is not None
        assert record.meta == {
            "request_id": answer.body["request_id"],
            "method": "PUT",
            "path": "/hook",
            "query": {"a": ["1", "2"], "b": "", "c": " x"},
            "remote": "127.0.0.1",
        }

    @pytest.mark.parametrize("respond", ["delivered", "accepted"])
    def test_credentials_are_in_no_record(self, open_reader: Open, port: int, respond: str, tmp_path: Path) -> None:
        reader = open_reader(secret=SECRET, secret_header="X-Token", respond=respond)
        with delivering(reader) as records:
            assert post(port, f"X-Token: {SECRET}", "Authorization: Basic YTpi", "Cookie: session=1").status == 202
            eventually(lambda: bool(records), "the record is delivered")

        assert set(records[0].headers) == {"host", "content-length"}
        assert not any(SECRET.encode() in path.read_bytes() for path in tmp_path.rglob("*.spool"))

    def test_an_accepted_record_is_what_a_delivered_one_is(self, open_reader: Open, port: int) -> None:
        reader = open_reader(respond="accepted")
        with delivering(reader) as records:
            answer = post(port, "X-Kind: café", body=b"\x00\xff", path="/hook?a=1")
            eventually(lambda: bool(records), "the record is delivered")

        (record,) = records
        assert record.raw == b"\x00\xff"
        assert record.headers["x-kind"] == "café"
        assert record.meta["request_id"] == answer.body["request_id"]
        assert record.meta["query"] == {"a": "1"}
        assert record.meta["received_at"].tzinfo is not None


class TestRefusals:
    """What is answered to requests that make no record."""

    @pytest.mark.parametrize(
        ("sent", "status"),
        [
            (request(path="/other"), 404),
            (request(path="/hook/"), 404),
            (request(path="http://test/hook", method="GET"), 405),
            (request(method="OPTIONS", path="*"), 404),
            (request(method="CONNECT", path="test:80"), 404),
            (request("Content-Encoding: gzip", body=b"x"), 415),
            (request(body=b"x" * 101), 413),
            (request("Transfer-Encoding: chunked", body=b"40\r\n" + b"x" * 64 + b"\r\n40\r\n" + b"x" * 64), 413),
            (b"hello\r\n\r\n", 400),
            (b"POST /hook HTTP/1.1\r\n\r\n", 400),
            (request("Content-Length: 1", "Content-Length: 2"), 400),
            (request("Content-Length: -1"), 400),
            (request("Transfer-Encoding: gzip"), 501),
            (request("Transfer-Encoding: chunked", body=b"zz\r\n"), 400),
            (b"POST /hook HTTP/1.1\r\nX: " + b"x" * 40_000, 431),
        ],
    )
    def test_each_has_its_status(self, open_reader: Open, port: int, sent: bytes, status: int) -> None:
        reader = open_reader(max_size=100)
        with delivering(reader) as records:
            with Client(port) as client:
                client.send(sent)
                answer = client.answer()
            assert post(port).status == 202, "it goes on"

        assert answer.status == status
        assert answer.body["error"]
        assert len(records) == 1

    def test_a_wrong_method_is_told_the_right_ones(self, open_reader: Open, port: int) -> None:
        open_reader(methods=["POST", "PUT"])
        assert post(port, method="GET").headers["allow"] == "POST, PUT"
        assert post(port, method="HEAD", body=b"").status == 405

    def test_a_refused_body_does_not_cost_the_connection(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()), Client(port) as client:
            client.send(request(path="/other", body=b"x" * 100_000) + request())
            assert client.answer().status == 404
            assert client.answer().status == 202

    def test_the_answer_is_read_by_who_sends_far_too_much(self, open_reader: Open, port: int) -> None:
        open_reader(max_size=100)
        with Client(port) as client:
            client.send(request("Content-Length: 10000000", body=b"x" * 200_000))
            assert client.answer().status == 413
            assert client.rest() == b""

    def test_no_body_is_sent_for_nothing(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader(max_size=100)), Client(port) as client:
            client.send(request("Expect: 100-continue", "Content-Length: 2"))
            assert client.interim() == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"{}")
            assert client.answer().status == 202
            client.send(request("Expect: 100-continue", "Content-Length: 101"))
            assert client.answer().status == 413

    def test_a_secret_in_a_header(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader(secret=SECRET, secret_header="X-Token")) as records:
            missing, wrong = post(port), post(port, f"X-Token: {SECRET[:-1]}")
            assert post(port, f"x-token: {SECRET}").status == 202

        assert (missing.status, wrong.status) == (401, 403)
        assert "www-authenticate" in missing.headers
        assert len(records) == 1

    def test_a_signature(self, open_reader: Open, port: int) -> None:
        # The example of GitHub's documentation.
        right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        with delivering(open_reader(secret="It's a Secret to Everybody", signature="github")) as records:
            assert post(port, body=b"Hello, World!").status == 401
            assert post(port, f"X-Hub-Signature-256: {right}", body=b"Hello, World?").status == 403
            assert post(port, f"X-Hub-Signature-256: {right}", body=b"Hello, World!").status == 202

        assert [record.raw for record in records] == [b"Hello, World!"]
        assert "x-hub-signature-256" not in records[0].headers


class TestConnections:
    """What senders do with their connections."""

    def test_requests_on_one_connection_are_answered_in_order(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()) as records, Client(port) as client:
            client.send(b"".join(request(body=b"%d" % number) for number in range(300)))
            ids = [client.answer().body["request_id"] for _ in range(300)]

        assert [record.raw for record in records] == [b"%d" % number for number in range(300)]
        assert ids == [record.meta["request_id"] for record in records]

    def test_a_body_may_come_in_pieces(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()) as records, Client(port) as client:
            for byte in request("Transfer-Encoding: chunked", body=b"2\r\n{}\r\n1;x=y\r\n \r\n0\r\nTrailer: 1\r\n\r\n"):
                client.send(bytes([byte]))
            assert client.answer().status == 202
        assert [record.raw for record in records] == [b"{} "]

    def test_who_closes_its_half_is_answered(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()), Client(port) as client:
            client.send(request())
            client.end()
            assert client.answer().status == 202
            assert client.rest() == b""

    def test_no_other_protocol_is_spoken(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()), Client(port) as client:
            for _ in range(2):
                client.send(request("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"))
                assert client.answer().status == 202

    def test_old_clients_close(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()), Client(port) as client:
            client.send(b"POST /hook HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}")
            assert b" 202 " in client.rest()

    def test_who_goes_away_leaves_its_request(self, open_reader: Open, port: int) -> None:
        reader = open_reader(pending=1)
        with Client(port) as client:
            client.send(request(body=b"1"))
            assert read_one(reader) == b"1"
        assert post(port).status == 429, "it is still in the flow"
        reader.commit(reader.position())
        with delivering(reader) as records:
            eventually(lambda: post(port).status == 202, "there is room again")
        assert len(records) == 1

    def test_half_a_request_leaves_nothing(self, open_reader: Open, port: int) -> None:
        reader = open_reader(pending_size="1KiB", max_size="1KiB")
        for _ in range(5):
            with Client(port) as client:
                client.send(request("Content-Length: 1000", body=b"x" * 900))
        with delivering(reader) as records:
            eventually(lambda: post(port, body=b"x" * 1000).status == 202, "there is room again")
        assert len(records) == 1

    def test_who_is_slow_is_cut_off(self, open_reader: Open, port: int) -> None:
        open_reader(receive_timeout="200ms")
        for sent in (b"POST /ho", request("Content-Length: 10", body=b"x")):
            with Client(port) as client:
                client.send(sent)
                assert client.answer().status == 408
                assert client.rest() == b""

    def test_too_many_connections_are_sent_away(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader(connections=2)), Client(port) as first, Client(port) as second:
            for client in (first, second):
                client.send(request())
                assert client.answer().status == 202
            with Client(port) as third:
                assert b" 503 " in third.rest()

    def test_a_reset_does_no_harm(self, open_reader: Open, port: int) -> None:
        with delivering(open_reader()) as records:
            for _ in range(20):
                connection = socket.create_connection(("127.0.0.1", port))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(request())
                connection.close()
            assert post(port).status == 202
        assert records


class TestPressure:
    """What is answered when the flow does not follow."""

    def test_more_than_may_wait_is_sent_again_later(self, open_reader: Open, port: int) -> None:
        reader = open_reader(pending=2)
        with Client(port) as first, Client(port) as second:
            for number, client in enumerate((first, second)):
                client.send(request(body=b"%d" % number))
                assert read_one(reader) == b"%d" % number
            refused = post(port)
            assert refused.status == 429
            assert int(refused.headers["retry-after"]) >= 1
            reader.commit(1)
            assert first.answer().status == 202
            with delivering(reader):
                assert second.answer().status == 202
                assert post(port).status == 202

    def test_the_bytes_of_bodies_are_bounded(self, open_reader: Open, port: int) -> None:
        reader = open_reader(pending_size=2000, max_size=1500)
        with Client(port) as first:
            first.send(request(body=b"x" * 1500))
            read_one(reader)
            assert post(port, body=b"x" * 1000).status == 429
            with delivering(reader):
                assert first.answer().status == 202
                assert post(port, body=b"x" * 1000).status == 202

    def test_what_is_not_delivered_in_time_is_said_so_and_stays(self, open_reader: Open, port: int) -> None:
        reader = open_reader(answer_timeout="200ms")
        with Client(port) as client:
            client.send(request(body=b"1") + request(body=b"2"))
            assert client.answer().status == 504
            assert client.answer().status == 504
            with delivering(reader) as records:
                client.send(request(body=b"3"))
                assert client.answer().status == 202
        assert [record.raw for record in records] == [b"1", b"2", b"3"]

    def test_a_full_spool_takes_no_more(self, open_reader: Open, port: int) -> None:
        reader = open_reader(respond="accepted", spool_size="1MiB", batch_size=1)
        body = b"x" * 100_000
        statuses = [post(port, body=body).status for _ in range(15)]
        assert statuses == [202] * statuses.count(202) + [429] * statuses.count(429)
        assert 10 <= statuses.count(202) <= 12
        with delivering(reader) as records:
            eventually(lambda: post(port, body=body).status == 202, "there is room again")
            accepted = statuses.count(202) + 1
            eventually(lambda: len(records) == accepted, "all that was accepted is delivered")


class TestStops:
    """The end of a flow, and the next one."""

    def test_what_is_in_the_flow_is_answered_and_nothing_else(self, open_reader: Open, port: int) -> None:
        reader = open_reader()
        with Client(port) as inside, Client(port) as idle:
            idle.send(request(path="/other"))
            assert idle.answer().status == 404
            inside.send(request(body=b"1"))
            assert read_one(reader) == b"1"
            with Client(port) as outside:
                outside.send(request(body=b"2"))
                eventually(lambda: len(reader._inbox.unread) == 1, "the second waits for the flow")
                reader.stop()
                assert outside.answer().status == 503
            assert idle.rest() == b""
            reader.commit(reader.position())
            answer = inside.answer()
            assert answer.status == 202
            assert answer.headers["connection"] == "close"
            reader.close(5)
            assert inside.rest() == b""
        with pytest.raises(ConnectionRefusedError):
            post(port)

    def test_what_is_not_delivered_at_the_end_is_sent_again(self, open_reader: Open, port: int) -> None:
        reader = open_reader()
        with Client(port) as client:
            client.send(request())
            read_one(reader)
            reader.stop()
            reader.close(0)
            assert client.answer().status == 503

    def test_half_a_request_does_not_hold_up_the_end(self, open_reader: Open, port: int) -> None:
        reader = open_reader()
        with Client(port) as client:
            client.send(request(path="/other") + request("Content-Length: 10", body=b"x"))
            assert client.answer().status == 404
            reader.stop()
            assert client.answer().status == 503
            assert client.rest() == b""

    def test_a_port_in_use_is_named(self, open_reader: Open, port: int) -> None:
        open_reader()
        with pytest.raises(FatalError, match=f"port {port} of 127.0.0.1 is in use"):
            open_reader()

    def test_a_port_is_free_again_at_once(self, open_reader: Open, port: int) -> None:
        for _ in range(3):
            reader = open_reader()
            with delivering(reader), Client(port) as client:
                client.send(request())
                assert client.answer().status == 202
                # The side that closes first keeps the port in TIME_WAIT.
                reader.stop()
                assert client.rest() == b""
            reader.close(5)

    def test_who_connects_in_that_moment_is_closed_as_well(self, open_reader: Open, port: int) -> None:
        for _ in range(20):
            reader = open_reader()
            clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(8)]
            reader.stop()
            reader.close(5)
            for client in clients:
                # Who was not accepted sees a reset.
                with client, suppress(ConnectionResetError):
                    assert client.recv(1) == b""
        # What was left open says so when it is collected.
        gc.collect()

    @pytest.mark.parametrize("host", ["missing.invalid", "192.0.2.1"])
    def test_an_address_of_others_is_refused(self, open_reader: Open, port: int, host: str) -> None:
        with pytest.raises(FatalError, match=f"cannot listen on port {port} of {re.escape(host)}: .*check 'host'"):
            open_reader(host=host, unauthenticated=True)

    def test_ipv6(self, open_reader: Open, port: int) -> None:
        if not socket.has_dualstack_ipv6():
            pytest.skip("this machine has no IPv6")
        with delivering(open_reader(host="::1")), socket.create_connection(("::1", port)) as connection:
            connection.sendall(request())
            assert b" 202 " in connection.recv(4096)

    def test_what_was_accepted_is_delivered_by_the_next_run(self, open_reader: Open, port: int) -> None:
        reader = open_reader(respond="accepted")
        ids = [post(port, body=b"%d" % number).body["request_id"] for number in range(10)]
        assert read_one(reader) == b"0"
        reader.commit(reader.position())
        assert read_one(reader) == b"1", "it is not committed"
        reader.stop()
        reader.close(5)

        with delivering(open_reader(respond="accepted")) as records:
            eventually(lambda: len(records) == 9, "the rest is delivered")
        assert [record.meta["request_id"] for record in records] == ids[1:]

    def test_what_was_accepted_is_not_forgotten_by_another_way_to_respond(self, open_reader: Open, port: int) -> None:
        reader = open_reader(respond="accepted")
        assert post(port).status == 202
        reader.close(5)
        with pytest.raises(FatalError, match="1 requests that were accepted before are not delivered"):
            open_reader(respond="delivered")
        reader = open_reader(respond="accepted")
        with delivering(reader) as records:
            eventually(lambda: len(records) == 1, "it is delivered")
        reader.close(5)
        open_reader(respond="delivered")

    def test_a_spool_has_one_run(self, open_reader: Open, port: int) -> None:
        open_reader(respond="accepted")
        with pytest.raises(FatalError, match="in use by another run of this flow"):
            open_reader(respond="accepted", port=port + 1)
