"""Amazon SQS, on two servers that other people wrote."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from tests.conformance.sqs import FifoQueue, FifoQueueSink, StandardQueue, StandardQueueSink
from tests.conformance.waivers import APPENDS
from tests.servers.sqs import SqsServer


class ListenQueue(TriggerConformance):
    trigger = "amazon-sqs.listen-queue"


class StandardQueues(ListenQueue):
    waivers: ClassVar = {27: "a standard queue promises no order; FIFO queues are held to it"}


class TestStandardQueueOnMinistack(StandardQueues):
    system = "SQS: ministack"
    harness_type = StandardQueue

    @pytest.fixture
    def server(self, sqs: SqsServer) -> SqsServer:
        return sqs


class TestStandardQueueOnElasticMq(StandardQueues):
    system = "SQS: ElasticMQ"
    harness_type = StandardQueue

    @pytest.fixture
    def server(self, elasticmq: SqsServer) -> SqsServer:
        return elasticmq


class TestFifoQueueOnMinistack(ListenQueue):
    system = "SQS FIFO: ministack"
    harness_type = FifoQueue

    @pytest.fixture
    def server(self, sqs: SqsServer) -> SqsServer:
        return sqs


class TestFifoQueueOnElasticMq(ListenQueue):
    system = "SQS FIFO: ElasticMQ"
    harness_type = FifoQueue

    @pytest.fixture
    def server(self, elasticmq: SqsServer) -> SqsServer:
        return elasticmq


class SendMessage(SinkConformance):
    action = "amazon-sqs.send-message"
    waivers: ClassVar = APPENDS


class SendToStandardQueue(SendMessage):
    waivers: ClassVar = {**APPENDS, 27: "a standard queue promises no order; FIFO queues are held to it"}


class TestSendToStandardQueueOnMinistack(SendToStandardQueue):
    system = "SQS: ministack"
    harness_type = StandardQueueSink

    @pytest.fixture
    def server(self, sqs: SqsServer) -> SqsServer:
        return sqs


class TestSendToStandardQueueOnElasticMq(SendToStandardQueue):
    system = "SQS: ElasticMQ"
    harness_type = StandardQueueSink

    @pytest.fixture
    def server(self, elasticmq: SqsServer) -> SqsServer:
        return elasticmq


class TestSendToFifoQueueOnMinistack(SendMessage):
    system = "SQS FIFO: ministack"
    harness_type = FifoQueueSink

    @pytest.fixture
    def server(self, sqs: SqsServer) -> SqsServer:
        return sqs


class TestSendToFifoQueueOnElasticMq(SendMessage):
    system = "SQS FIFO: ElasticMQ"
    harness_type = FifoQueueSink

    @pytest.fixture
    def server(self, elasticmq: SqsServer) -> SqsServer:
        return elasticmq
