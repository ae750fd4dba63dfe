"""RabbitMQ, on a node of Debian's package."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from tests.conformance.rabbitmq import ClassicQueue, ClassicQueueSink, QuorumQueue, QuorumQueueSink
from tests.conformance.waivers import APPENDS
from tests.servers.rabbitmq import RabbitNode


class ConsumeQueue(TriggerConformance):
    trigger = "rabbitmq.consume-queue"
    waivers: ClassVar = {
        25: "AMQP answers no acknowledgement, so none can be refused: it arrives, or its connection is lost"
    }


class TestClassicQueue(ConsumeQueue):
    system = "RabbitMQ: classic queue"
    harness_type = ClassicQueue

    @pytest.fixture
    def server(self, rabbitmq: RabbitNode) -> RabbitNode:
        return rabbitmq


class TestQuorumQueue(ConsumeQueue):
    system = "RabbitMQ: quorum queue"
    harness_type = QuorumQueue

    @pytest.fixture
    def server(self, rabbitmq: RabbitNode) -> RabbitNode:
        return rabbitmq


class Publish(SinkConformance):
    action = "rabbitmq.publish"
    waivers: ClassVar = {**APPENDS, 26: "a message may have 128 MiB"}


class TestPublishToClassicQueue(Publish):
    system = "RabbitMQ: classic queue"
    harness_type = ClassicQueueSink

    @pytest.fixture
    def server(self, rabbitmq: RabbitNode) -> RabbitNode:
        return rabbitmq


class TestPublishToQuorumQueue(Publish):
    system = "RabbitMQ: quorum queue"
    harness_type = QuorumQueueSink

    @pytest.fixture
    def server(self, rabbitmq: RabbitNode) -> RabbitNode:
        return rabbitmq
