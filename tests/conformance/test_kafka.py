"""Apache Kafka, on a broker in KRaft mode."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from tests.conformance.kafka import Topic, TopicSink
from tests.conformance.waivers import APPENDS
from tests.servers.kafka import KafkaBroker


class TestConsumeTopics(TriggerConformance):
    system = "Kafka"
    harness_type = Topic
    trigger = "kafka.consume-topics"

    @pytest.fixture
    def server(self, kafka: KafkaBroker) -> KafkaBroker:
        return kafka


class TestProduce(SinkConformance):
    action = "kafka.produce"
    system = "Kafka"
    harness_type = TopicSink
    waivers: ClassVar = APPENDS

    @pytest.fixture
    def server(self, kafka: KafkaBroker) -> KafkaBroker:
        return kafka
