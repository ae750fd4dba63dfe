"""Clients that put messages into a system at a steady rate, each run in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import orjson

__all__ = ["Sender", "send_to_kafka", "send_to_rabbitmq", "send_to_sqs"]

Sender = Callable[[str, str, int, int], list[float]]
"""Called with where the system is, the queue or topic, how many messages, and how many a second; each says when it was
`sent`. Answers the seconds that each call took."""


def send_to_sqs(endpoint: str, url: str, messages: int, per_second: int) -> list[float]:
    """Send with boto3."""
    import boto3

    client = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    return [
        _timed(lambda: client.send_message(QueueUrl=url, MessageBody=_now().decode()))
        for _ in _paced(messages, per_second)
    ]


def send_to_rabbitmq(url: str, queue: str, messages: int, per_second: int) -> list[float]:
    """Send with pika, unconfirmed."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    calls = [_timed(lambda: channel.basic_publish("", queue, _now())) for _ in _paced(messages, per_second)]
    connection.close()
    return calls


def send_to_kafka(servers: str, topic: str, messages: int, per_second: int) -> list[float]:
    """Send with confluent-kafka, without lingering."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
    calls = []
    for _ in _paced(messages, per_second):
        calls.append(_timed(lambda: producer.produce(topic, _now())))
        producer.poll(0)
    producer.flush()
    return calls


def _now() -> bytes:
    return orjson.dumps({"sent": time.time()})


def _timed(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _paced(count: int, per_second: int) -> Iterator[int]:
    due = time.perf_counter()
    for number in range(count):
        due += 1 / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        yield number
