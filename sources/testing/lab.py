"""What a case works with: flows with a sink that can be told to fail, and what came out of them."""
# ruff: noqa: S101 - tests are made of assertions

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowspec import loads
from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.registry import register
from sources.testbed import Flaky, ReadLines
from sources.testing.flows import HostedFlow, Output, RunningFlow, eventually
from sources.testing.harness import FLOW

if TYPE_CHECKING:
    from flowspec.connectors import Reader, Writer

__all__ = ["Lab", "numbered"]


def numbered(numbers: Iterable[int], **more: Any) -> list[bytes]:
    """Payloads that can be told apart: `{"id": 7}`, with what else each shall have."""
    return [json.dumps({"id": number, **more}).encode() for number in numbers]


class Lab:
    """Makes flows, and knows what they delivered.

    A flow writes to `testbed / flaky` unless it is given another sink.
    """

    def __init__(self, directory: Path) -> None:
        # Flows on threads of this process find the connector without its entry points.
        register(ReadLines)
        register(Flaky)
        self.directory = directory
        self.output = Output(directory / "out.jsonl")
        self.read = self.output.lines
        """What reads what was delivered, from the beginning; the tests of sinks put theirs here."""
        self._down = directory / "down"
        self._input = directory / "in.jsonl"
        self._counts: Counter[int] = Counter()
        self._counted = 0
        self._looking = threading.Lock()

    def spec(
        self,
        trigger: dict[str, Any],
        steps: Sequence[dict[str, Any]] = (),
        sink: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """The spec of a flow."""
        return {
            "name": FLOW,
            "trigger": {"external_id": "id", **trigger},
            "steps": list(steps),
            "sink": self.sink() if sink is None else sink,
        }

    def sink(self, **fields: Any) -> dict[str, Any]:
        """The sink that fails when it is told to."""
        return {
            "connector": "testbed",
            "action": "flaky",
            "path": str(self.output.path),
            "down_file": str(self._down),
            **fields,
        }

    def source(self, **fields: Any) -> dict[str, Any]:
        """The trigger that is always right, to test a sink with; it hands over what it is fed."""
        return {"connector": "testbed", "event": "read-lines", "path": str(self._input), **fields}

    def feed(self, payloads: Iterable[bytes]) -> None:
        """Give the source more to hand over."""
        with self._input.open("ab") as file:
            file.writelines(payload + b"\n" for payload in payloads)

    def left(self) -> int:
        """How many payloads of the source nobody has committed."""
        committed = self._input.with_name(self._input.name + ".committed")
        with self._input.open("rb") as file:
            file.seek(int(committed.read_text()) if committed.exists() else 0)
            return file.read().count(b"\n")

    def flow(
        self,
        trigger: dict[str, Any],
        steps: Sequence[dict[str, Any]] = (),
        sink: dict[str, Any] | None = None,
        *,
        drain_timeout: float = 8.0,
    ) -> HostedFlow:
        """A flow on a thread of this process, not started."""
        return HostedFlow(self.directory, self.spec(trigger, steps, sink), drain_timeout=drain_timeout)

    def command(
        self,
        trigger: dict[str, Any],
        *options: str,
        steps: Sequence[dict[str, Any]] = (),
        sink: dict[str, Any] | None = None,
        directory: Path | None = None,
    ) -> RunningFlow:
        """A flow of the command line, not started; in a directory of its own where there are several."""
        directory = directory or self.directory
        directory.mkdir(exist_ok=True)
        return RunningFlow(directory, self.spec(trigger, steps, sink), *options)

    @contextmanager
    def reader(self, trigger: dict[str, Any]) -> Iterator[Reader]:
        """What the trigger opens on the only worker, without a flow."""
        spec = loads(json.dumps(self.spec(trigger)))
        (partition,) = spec.trigger.partitions(1)
        with ExitStack() as stack:
            context = WorkerContext(
                spec.name, 0, 1, threading.Event(), Health("trigger"), state_dir=self.directory / "state"
            )
            reader = spec.trigger.open(partition, None, context)
            stack.callback(reader.close, 5.0)
            yield reader

    @contextmanager
    def writer(self, sink: dict[str, Any]) -> Iterator[Writer]:
        """What the sink opens on a worker, without a flow."""
        spec = loads(json.dumps(self.spec(self.source(), sink=sink)))
        with (self.directory / "stdout.txt").open("a") as out, redirect_stdout(out):
            writer = spec.sinks[0].open(WorkerContext(spec.name, 0, 1, threading.Event(), Health("sink")))
            yield writer
            writer.close()

    def sink_down(self) -> None:
        """Have the sink refuse everything for now."""
        self._down.touch()

    def sink_up(self) -> None:
        """Have it take everything again."""
        self._down.unlink()

    def ids(self) -> list[int]:
        """The numbers of what was delivered, in that order."""
        return [line["id"] for line in self.lines()]

    def lines(self) -> list[dict[str, Any]]:
        """What was delivered, in that order."""
        with self._looking:
            return list(self.read())

    def counts(self) -> Counter[int]:
        """How often each was delivered; may be asked for on any thread."""
        with self._looking:
            self._count()
            return self._counts.copy()

    def _count(self) -> None:
        lines = self.read()
        self._counts.update(line["id"] for line in lines[self._counted :])
        self._counted = len(lines)

    def distinct(self) -> int:
        """How many different ones were delivered; may be asked for on any thread."""
        with self._looking:
            self._count()
            return len(self._counts)

    def wait_for(self, count: int) -> None:
        """Wait until that many different records are delivered."""
        eventually(lambda: self.distinct() >= count, f"{count} records are delivered", progress=self.distinct)

    def delivered_once(self, numbers: Iterable[int]) -> None:
        """See that exactly these were delivered, each once."""
        self.delivered_at_least_once(numbers)
        again = {number: count for number, count in self.counts().items() if count > 1}
        assert not again, "delivered more than once"

    def delivered_at_least_once(self, numbers: Iterable[int]) -> None:
        """See that these and no others were delivered, some of them perhaps again."""
        delivered, sent = set(self.counts()), set(numbers)
        assert not sent - delivered, "lost"
        assert not delivered - sent, "never sent"
