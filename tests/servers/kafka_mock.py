"""Librdkafka's mock of a Kafka cluster, for what a real broker does not do on demand.

It keeps about 5 MB of each partition and knows no transactions: whether anything is lost is seen on a real broker only.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from confluent_kafka import cimpl

__all__ = ["KafkaMock", "kafka_mock"]

_API_KEYS = MappingProxyType(
    {
        "Produce": 0,
        "Fetch": 1,
        "ListOffsets": 2,
        "Metadata": 3,
        "OffsetCommit": 8,
        "OffsetFetch": 9,
        "FindCoordinator": 10,
        "JoinGroup": 11,
        "Heartbeat": 12,
        "SyncGroup": 14,
        "InitProducerId": 22,
    }
)
_PRODUCER = 0


class KafkaMock:
    """A running cluster, in a process of its own that ends when its input does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._numbers = itertools.count()
        self.bootstrap_servers = self._answer()
        self.account: dict[str, Any] = {"bootstrap_servers": self.bootstrap_servers}

    def create_topic(self, partitions: int = 1) -> str:
        """A topic of its own for a test; answers its name."""
        name = f"topic-{next(self._numbers)}"
        self._do("create_topic", name, partitions)
        return name

    def down(self, broker: int = 1) -> None:
        """Let a broker refuse connections and drop those it has; brokers are counted from 1."""
        self._do("down", broker)

    def up(self, broker: int = 1) -> None:
        """Let a broker be there again."""
        self._do("up", broker)

    def delay(self, seconds: float, broker: int = 1) -> None:
        """Let a broker answer everything so much later."""
        self._do("delay", broker, round(seconds * 1000))

    def fail(self, request: str, *errors: int) -> None:
        """Answer the next requests of one kind, such as "Produce", with errors, one each.

        Args:
            request: The name of the request in Kafka's protocol.
            errors: Such as `KafkaError.NOT_LEADER_FOR_PARTITION`.
        """
        self._do("fail", _API_KEYS[request], *errors)

    def _do(self, *call: str | int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        assert answer == "0", f"{call}: librdkafka's error {answer}"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def kafka_mock(directory: Path, brokers: int = 1) -> Iterator[KafkaMock]:
    """A cluster on the loopback interface."""
    command = [sys.executable, "-m", __name__, str(brokers)]
    with (
        (directory / "kafka-mock.log").open("ab") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        yield KafkaMock(process)


def _main(brokers: int) -> None:
    # The extension module is linked to the library that has them.
    library = ctypes.CDLL(cimpl.__file__)
    library.rd_kafka_new.restype = library.rd_kafka_mock_cluster_new.restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, None, None, ctypes.c_size_t(0)))
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, brokers))
    calls: dict[str, Callable[..., int]] = {
        "create_topic": lambda name, count: library.rd_kafka_mock_topic_create(cluster, name.encode(), count, brokers),
        "down": lambda broker: library.rd_kafka_mock_broker_set_down(cluster, broker),
        "up": lambda broker: library.rd_kafka_mock_broker_set_up(cluster, broker),
        "delay": lambda broker, millis: library.rd_kafka_mock_broker_set_rtt(cluster, broker, millis),
        "fail": lambda key, *errors: library.rd_kafka_mock_push_request_errors_array(
            cluster, ctypes.c_int16(key), ctypes.c_size_t(len(errors)), (ctypes.c_int * len(errors))(*errors)
        ),
    }
    print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode(), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(calls[name](*arguments) or 0, flush=True)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
