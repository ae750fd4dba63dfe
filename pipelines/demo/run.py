"""The demonstration itself: server, orders, the real command line, and the books at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import orjson

from pipelines.demo.orders import OrderSender
from pipelines.demo.server import EmbeddedSqs
from pipelines.demo.tether import end_tethered, start_tethered
from sources.amazon_sqs import AwsAccount

__all__ = ["run_demo"]

_SPEC = Path(__file__).with_name("orders.json")
_DIRECTORY = Path(".pipelines") / "demo"
_DRAIN_TIMEOUT = 60.0
_TAIL = 4096
_ROW = "{:>6} {:>9} {:>10} {:>9} {:>7} {:>8} {:>9}  {}"


def run_demo(seconds: float, rate: int) -> int:
    """Run `examples/orders.json` for some seconds on an embedded queue; answers the exit code.

    It is 0 only if every order that was sent is accounted for and the queue is empty. Ctrl-C ends it early, in the
    same way.

    Raises:
        MissingDependencyError: the packages of the demonstration are not installed.
    """
    shutil.rmtree(_DIRECTORY, ignore_errors=True)
    with EmbeddedSqs(_DIRECTORY) as server:
        account = AwsAccount(endpoint_url=server.endpoint, access_key_id="demo", secret_access_key="demo")  # noqa: S106
        client = account.client("sqs", url=server.endpoint, connections=2)
        try:
            return _Demo(client, server.endpoint).run(seconds, rate)
        finally:
            client.close()


class _Demo:
    def __init__(self, client: Any, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint
        self._queue_url = client.create_queue(QueueName="orders")["QueueUrl"]
        self._output = _DIRECTORY / "paid-orders.jsonl"
        self._last: dict[str, Any] = {}

    def run(self, seconds: float, rate: int) -> int:
        click.echo(f"An SQS-compatible server listens on {self._endpoint}. {rate} orders a second go into its queue.")
        click.echo(f"python -m pipelines run {os.path.relpath(_SPEC.resolve())}\n")
        click.echo(_ROW.format("time", "received", "delivered", "filtered", "failed", "rate", "p50", "last delivered"))
        flow = self._start()
        reader = threading.Thread(target=self._show, args=(flow,), name="status", daemon=True)
        reader.start()
        sender = OrderSender(self._client, self._queue_url, rate)
        sender.start()
        try:
            _wait_for(flow, seconds)
            sender.stop()
            left = self._wait_until_empty(flow)
        finally:
            sender.stop()
            code = end_tethered(flow)
            reader.join()
        return self._balance(sender.sent, left, code)

    def _start(self) -> subprocess.Popen[bytes]:
        command = ["run", str(_SPEC), "--state-dir", str(_DIRECTORY), "--status", "json"]
        settings = {
            "SQS_ENDPOINT": self._endpoint,
            "ORDERS_QUEUE_URL": self._queue_url,
            "PAID_ORDERS": str(self._output),
            "AWS_ACCESS_KEY_ID": "demo",
            "AWS_SECRET_ACCESS_KEY": "demo",
        }
        return start_tethered(
            [sys.executable, "-m", "pipelines", *command], subprocess.PIPE, {**os.environ, **settings}
        )

    def _show(self, flow: subprocess.Popen[bytes]) -> None:
        assert flow.stdout is not None  # noqa: S101 - it is a pipe
        started = time.monotonic()
        for line in flow.stdout:
            if not line.startswith(b"{"):
                click.echo(line.decode(), nl=False)
                continue
            self._last = status = orjson.loads(line)
            latency = status["latency_p50"]
            click.echo(
                _ROW.format(
                    f"{time.monotonic() - started:.0f} s",
                    status["received"],
                    status["delivered"],
                    status["filtered"],
                    status["failed"],
                    f"{status['rate']:.0f}/s",
                    "-" if latency is None else f"{latency * 1000:.1f} ms",
                    self._last_delivered(),
                )
            )

    def _last_delivered(self) -> str:
        if not self._output.exists():
            return ""
        with self._output.open("rb") as output:
            output.seek(max(0, self._output.stat().st_size - _TAIL))
            lines = output.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else ""

    def _wait_until_empty(self, flow: subprocess.Popen[bytes]) -> int:
        until = time.monotonic() + _DRAIN_TIMEOUT
        while (left := self._left()) and flow.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        return left

    def _left(self) -> int:
        counts = self._client.get_queue_attributes(
            QueueUrl=self._queue_url,
            AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
        )["Attributes"]
        return sum(map(int, counts.values()))

    def _balance(self, sent: int, left: int, code: int) -> int:
        delivered, filtered, failed = (self._last.get(count, 0) for count in ("delivered", "filtered", "failed"))
        letters = next((_DIRECTORY / "dead-letters").glob("*.sqlite"), None)
        click.echo(f"\nsent               {sent}")
        click.echo(f"delivered          {delivered}   in {self._output}")
        click.echo(f"filtered           {filtered}   not paid, or not above 100")
        click.echo(f"dead letters       {failed}   in {letters}")
        click.echo(f"left in the queue  {left}")
        if code == 0 and left == 0 and sent == delivered + filtered + failed:
            return 0
        click.echo(f"The books do not balance (the flow ended with exit code {code}).", err=True)
        return 1


def _wait_for(flow: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait, but neither for a flow that ended nor after a Ctrl-C."""
    until = time.monotonic() + seconds
    with suppress(KeyboardInterrupt):
        while flow.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
