"""What the suite must know of Apache Kafka."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from sinks.testing import Received, SinkHarness
from sources.testing import TriggerHarness
from tests.conformance.proxied import Proxied
from tests.servers.kafka import KafkaBroker
from tests.servers.kafka_commits import check_owners, commits

__all__ = ["Topic", "TopicSink"]

_PARTITIONS = 3
_LONG_TIMEOUT = 120.0


class _Topic(Proxied):
    """A topic of three partitions."""

    def __init__(self, broker: KafkaBroker) -> None:
        self._broker = broker
        self._topic = broker.create_topic(_PARTITIONS)

    @property
    def _proxied_account(self) -> dict[str, Any]:
        """With the proxy of the broker, which not every broker has."""
        self._proxy = self._broker.proxy
        return self._broker.proxied_account

    def close(self) -> None:
        if "_proxy" in vars(self):
            self.resume()
            self.up()


class Topic(_Topic, TriggerHarness):
    """A topic and a consumer group; its client is confluent-kafka."""

    flood = (4_000, 100_000)
    keys = ("a", "b", "c", "d", "e")
    shared = True
    ack_timeout = 6.0
    """The session timeout, after which a member that says nothing is put out of its group."""

    def __init__(self, broker: KafkaBroker) -> None:
        super().__init__(broker)
        self._group = f"group-of-{self._topic}"

    def trigger(self, **fields: Any) -> dict[str, Any]:
        return self._trigger(self._broker.account, self.ack_timeout, fields)

    def proxied(self, **fields: Any) -> dict[str, Any]:
        # Who cannot be reached for a while must not be put out of the group for it.
        return self._trigger(self._proxied_account, _LONG_TIMEOUT, fields)

    def missing(self) -> dict[str, Any]:
        return self.trigger(topics=[f"{self._topic}-missing"])

    def _trigger(self, account: dict[str, Any], timeout: float, fields: Mapping[str, Any]) -> dict[str, Any]:
        milliseconds = f"{timeout * 1000:.0f}"
        properties = {"session.timeout.ms": milliseconds, "max.poll.interval.ms": milliseconds}
        return {
            "connector": "kafka",
            "event": "consume-topics",
            "account": {**account, "properties": properties},
            "topics": [self._topic],
            "group": self._group,
            **fields,
        }

    def send(
        self, payloads: Sequence[bytes], *, key: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        made: Any = [(name, value.encode()) for name, value in (headers or {}).items()]
        self._broker.produce(self._topic, *payloads, key=None if key is None else key.encode(), headers=made)

    def left(self) -> int:
        return self._broker.lag(self._group, self._topic)

    @contextmanager
    def refusing_commits(self) -> Iterator[None]:
        self.down()
        try:
            yield
        finally:
            self.up()

    def check_commits(self) -> None:
        history = commits(self._broker, self._group, self._topic)
        assert {commit.partition for commit in history} == set(range(_PARTITIONS))
        check_owners(history)


class TopicSink(_Topic, SinkHarness):
    """A topic that is read from its beginning, by confluent-kafka."""

    headers_field = "headers"
    ordered: ClassVar = {"key": "group"}
    too_large = 2_000_000

    def __init__(self, broker: KafkaBroker) -> None:
        super().__init__(broker)
        self._received: list[Received] = []
        settings = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "readers", "enable.auto.commit": False}
        self._consumer = Consumer(settings)
        self._consumer.assign([TopicPartition(self._topic, each, OFFSET_BEGINNING) for each in range(_PARTITIONS)])

    def close(self) -> None:
        self._consumer.close()
        super().close()

    def action(self, **fields: Any) -> dict[str, Any]:
        return {
            "connector": "kafka",
            "action": "produce",
            "account": self._broker.account,
            "topic": self._topic,
            **fields,
        }

    def proxied(self, **fields: Any) -> dict[str, Any]:
        return self.action(account=self._proxied_account, **fields)

    def missing(self) -> dict[str, Any]:
        return self.action(topic=f"{self._topic}-missing")

    def received(self) -> list[Received]:
        for message in self._consumer.consume(1_000, 0.05):
            assert message.error() is None, message.error()
            pairs: Any = message.headers() or []
            headers = {name: value.decode() for name, value in pairs}
            self._received.append(Received(message.value() or b"", headers))
        return self._received
