"""A private RabbitMQ node, and what tests do with it."""

from __future__ import annotations

import itertools
import os
import re
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika

from tests.secrets import secret
from tests.servers.missing import missing
from tests.servers.process import ServerProcess, listens, server_port

__all__ = ["PASSWORD", "RabbitNode", "rabbitmq"]

PASSWORD = secret("Rabbit")
"""Of the user guest."""

# The one in /usr/sbin wants to become another user.
_SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
_INSTALL = "apt-get install --no-install-recommends rabbitmq-server"

_CONSOLE = """
%% Evaluates each expression that comes as a line, as `rabbitmqctl eval` does, which takes a second for each.
Evaluate = fun(Line) ->
    {ok, Tokens, _} = erl_scan:string(Line),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    element(2, erl_eval:exprs(Expressions, []))
end,
Serve = fun Serve(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener),
    {ok, Line} = gen_tcp:recv(Socket, 0),
    Answer = try {ok, Evaluate(Line)} catch _:Reason -> {error, Reason} end,
    gen_tcp:send(Socket, io_lib:format("~0tp", [Answer])),
    gen_tcp:close(Socket),
    Serve(Listener)
end,
spawn(fun() ->
    Path = os:getenv("CONSOLE_SOCKET"),
    file:delete(Path),
    {ok, Listener} = gen_tcp:listen(0, [{ifaddr, {local, Path}}, {active, false}, {packet, line}, {buffer, 65536}]),
    Serve(Listener)
end).
"""

_DEPTH = """
    {{ok, Queue}} = rabbit_amqqueue:lookup(rabbit_misc:r(<<"/">>, queue, <<"{queue}">>)),
    case amqqueue:get_type(Queue) of
        rabbit_quorum_queue ->
            Counts = fun(State) ->
                {{rabbit_fifo:query_messages_ready(State), rabbit_fifo:query_messages_checked_out(State)}}
            end,
            {{ok, {{_, Both}}, _}} = ra:leader_query(amqqueue:get_pid(Queue), Counts),
            Both;
        _ ->
            [{{_, Ready}}, {{_, Unacknowledged}}] =
                rabbit_amqqueue:info(Queue, [messages_ready, messages_unacknowledged]),
            {{Ready, Unacknowledged}}
    end.
"""

_RECOVERED = """
    lists:all(
        fun(Queue) ->
            Last = rabbit_fifo:make_garbage_collection(),
            amqqueue:get_type(Queue) =/= rabbit_quorum_queue orelse
                element(1, ra:process_command(amqqueue:get_pid(Queue), Last)) =:= ok
        end,
        rabbit_amqqueue:list()
    ).
"""
"""A quorum queue comes back empty and then reads its log; what is added to the log is answered after all before it."""

_PATIENCE = 60.0
"""Seconds for any one answer."""

_BATCH = 500
"""How many messages are confirmed, or acknowledged, at a time."""

_numbers = itertools.count()


class RabbitNode:
    """A running node, with its management plugin; its user is guest."""

    def __init__(self, directory: Path) -> None:
        self.port, management, distribution, epmd = (server_port() for _ in range(4))
        self.url = self.url_at(self.port)
        self.account: dict[str, Any] = {"url": self.url}
        self.management = f"http://127.0.0.1:{management}"
        self._console = directory / "console"
        environment = _environment(directory, self.port, distribution, epmd)
        _configure(directory, self.port, management)
        self._node = ServerProcess([str(_SERVER)], directory / "node.log", environment)
        # Erlang's port mapper: without one of its own, the node would leave a daemon behind.
        own = ["epmd", "-port", str(epmd), "-address", "127.0.0.1"]
        self._port_mapper = ServerProcess(own, directory / "epmd.log", environment)
        self._port_mapper.start(lambda: listens(epmd))

    @staticmethod
    def url_at(port: int, scheme: str = "amqp") -> str:
        """Where the node is for a client that reaches it through another port."""
        return f"{scheme}://guest:{PASSWORD}@127.0.0.1:{port}/"

    def start(self) -> None:
        """Start it, or start it again with all that it had, where it was."""
        self._node.start(self._is_ready)

    def kill(self) -> None:
        """kill -9."""
        self._node.kill()

    def close(self) -> None:
        """End it for good."""
        self._node.kill()
        self._port_mapper.kill()

    def connect(self) -> pika.BlockingConnection:
        """A connection of the test's own."""
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def create_queue(self, *, quorum: bool = False, arguments: dict[str, Any] | None = None) -> str:
        """A durable queue of its own for a test, that outlives a kill at once; answers its name."""
        name = f"queue-{os.getpid()}-{next(_numbers)}"
        with self.connect() as connection:
            kind = {"x-queue-type": "quorum"} if quorum else {}
            connection.channel().queue_declare(name, durable=True, arguments={**kind, **(arguments or {})})
        self.sync()
        return name

    def sync(self) -> None:
        """Put on disk what was declared; a quorum queue younger than a second would not outlive a kill."""
        self.evaluate("[dets:sync(Table) || Table <- dets:all()].")

    def publish(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        """Send persistent messages in this order; all are confirmed."""
        made = pika.BasicProperties(**{"delivery_mode": 2, **properties})
        with self.connect() as connection:
            # The blocking channel waits for each confirmation; the one below it does not.
            channel = connection.channel()._impl  # type: ignore[attr-defined]
            confirmations = _Confirmations(channel)
            for number, body in enumerate(bodies, start=1):
                channel.basic_publish("", queue, body, made, mandatory=True)
                if number % _BATCH == 0 or number == len(bodies):
                    until = time.monotonic() + _PATIENCE
                    while confirmations.confirmed < number:
                        assert time.monotonic() < until, f"{queue} does not confirm"
                        connection.process_data_events(0.005)
        assert not confirmations.returned, f"no queue {queue}"

    def depth(self, queue: str) -> tuple[int, int]:
        """How many messages are ready, and how many unacknowledged: asked of the queue itself, so no statistics."""
        ready, unacknowledged = re.findall(r"\d+", self.evaluate(_DEPTH.format(queue=queue)))
        return int(ready), int(unacknowledged)

    def drain(self, queue: str) -> list[bytes]:
        """Take every ready message out of a queue; answers their bodies."""
        bodies: list[bytes] = []
        with self.connect() as connection:
            channel = connection.channel()
            # A quorum queue gives no more than 2,000 to a consumer that acknowledges nothing.
            channel.basic_qos(prefetch_count=2 * _BATCH)
            while ready := self.depth(queue)[0]:
                messages = itertools.islice(channel.consume(queue, inactivity_timeout=_PATIENCE), ready)
                for number, (method, _, body) in enumerate(messages, start=1):
                    assert method is not None, f"somebody else reads {queue}"
                    assert body is not None
                    bodies.append(body)
                    if number % _BATCH == 0 or number == ready:
                        channel.basic_ack(method.delivery_tag or 0, multiple=True)
                channel.cancel()
        return bodies

    def close_connections(self) -> int:
        """Force the connections of all clients shut; answers how many there were."""
        closed = (
            'length([rabbit_networking:close_connection(Client, "closed by the test")'
            " || Client <- rabbit_networking:connections()])."
        )
        return int(self.evaluate(closed))

    def evaluate(self, expression: str) -> str:
        """Evaluate an Erlang expression in the node; answers the result as Erlang prints it."""
        with socket.socket(socket.AF_UNIX) as console:
            console.settimeout(_PATIENCE)
            console.connect(str(self._console))
            console.sendall(" ".join(expression.split()).encode() + b"\n")
            answer = b"".join(iter(lambda: console.recv(65536), b"")).decode()
        assert answer.startswith("{ok,"), f"{answer} to {expression}"
        return answer[len("{ok,") : -1]

    def _is_ready(self) -> bool:
        try:
            return self.evaluate(_RECOVERED) == "true" and listens(self.port)
        except OSError:  # There is no console yet.
            return False


class _Confirmations:
    """How many messages of a channel are confirmed, and how many came back because nobody gets them."""

    def __init__(self, channel: Any) -> None:
        self.confirmed = self.returned = 0
        self._singly: set[int] = set()
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(self._on_confirmation)

    def _on_confirmation(self, frame: Any) -> None:
        assert isinstance(frame.method, pika.spec.Basic.Ack), f"not confirmed: {frame.method}"
        if frame.method.multiple:
            self.confirmed = max(self.confirmed, frame.method.delivery_tag)
        self._singly.add(frame.method.delivery_tag)
        while self.confirmed + 1 in self._singly:
            self.confirmed += 1

    def _on_return(self, *_: object) -> None:
        self.returned += 1


@contextmanager
def rabbitmq(directory: Path) -> Iterator[RabbitNode]:
    """A node of its own, on the loopback interface only."""
    if not _SERVER.exists():
        missing("RabbitMQ", _INSTALL)
    node = RabbitNode(directory)
    try:
        node.start()
        yield node
    finally:
        node.close()


def _environment(directory: Path, port: int, distribution: int, epmd: int) -> dict[str, str]:
    """All that a node takes from its environment, so that nothing of this machine's own node is touched."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "CONSOLE_SOCKET": str(directory / "console"),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(epmd),
        "ERL_FLAGS": "-start_epmd false",
        "RABBITMQ_CONFIG_FILE": str(directory / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(directory / "generated"),
        "RABBITMQ_LOG_BASE": str(directory / "log"),
        "RABBITMQ_MNESIA_BASE": str(directory / "mnesia"),
        "RABBITMQ_NODENAME": f"test{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_PID_FILE": str(directory / "pid"),
        "RABBITMQ_SCHEMA_DIR": str(directory / "schema"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
            '-kernel inet_dist_use_interface {127,0,0,1} -eval file:eval(os:getenv("CONSOLE_FILE"))'
        ),
        "CONSOLE_FILE": str(directory / "console.erl"),
        # The script becomes Erlang, instead of waiting for it.
        "RUNNING_UNDER_SYSTEMD": "1",
    }


def _configure(directory: Path, port: int, management: int) -> None:
    (directory / "rabbitmq.conf").write_text(
        f"""
        default_pass = {PASSWORD}
        listeners.tcp.1 = 127.0.0.1:{port}
        management.tcp.ip = 127.0.0.1
        management.tcp.port = {management}
        disk_free_limit.absolute = 50MB
        vm_memory_high_watermark.absolute = 2GB
        """
    )
    (directory / "enabled_plugins").write_text("[rabbitmq_management].")
    (directory / "console.erl").write_text(_CONSOLE)
    cookie = directory / ".erlang.cookie"
    cookie.write_text("tests")
    cookie.chmod(0o400)
