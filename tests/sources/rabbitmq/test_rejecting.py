"""Records that fail and go back to the broker, for the dead-letter exchange of the queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowspec.connectors import Rejecter
from flowspec.deadletters.letter import DeadLetter
from flowspec.delivery.run import FlowRun
from flowspec.errors import RecordError
from flowspec.records import Record
from sources.rabbitmq.reader import RejectingReader
from tests.pipelines.flows import eventually
from tests.servers.rabbitmq import RabbitNode
from tests.servers.tcp_proxy import TcpProxy
from tests.sources.rabbitmq.conftest import Open, read


@pytest.fixture(params=[False, True], ids=["classic", "quorum"])
def queues(rabbitmq: RabbitNode, request: pytest.FixtureRequest) -> tuple[str, str]:
    """A queue with ten messages, and that of its dead letters."""
    failed = rabbitmq.create_queue()
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": failed}
    queue = rabbitmq.create_queue(quorum=request.param, arguments=arguments)
    rabbitmq.publish(queue, *(str(number).encode() for number in range(10)))
    return queue, failed


def rejecting(open_reader: Open, account: dict[str, Any], queue: str) -> RejectingReader:
    reader = open_reader(account, queue, on_reject="broker")
    assert isinstance(reader, RejectingReader)
    return reader


def settled(node: RabbitNode, queue: str) -> None:
    eventually(lambda: node.depth(queue) == (0, 0), "all are settled", lambda: node.depth(queue))


@pytest.mark.parametrize("failed_ones", [[0], [9], [8, 9], [0, 1, 2], [2, 5, 6], list(range(10))], ids=str)
def test_exactly_what_failed_is_dead_lettered(
    rabbitmq: RabbitNode, queues: tuple[str, str], open_reader: Open, failed_ones: list[int]
) -> None:
    queue, failed = queues
    reader = rejecting(open_reader, rabbitmq.account, queue)
    records = read(reader, 10)

    reader.reject([records[number] for number in failed_ones])
    reader.commit(reader.position())

    settled(rabbitmq, queue)
    eventually(lambda: rabbitmq.depth(failed)[0] == len(failed_ones), "dead letters arrive")
    assert rabbitmq.drain(failed) == [str(number).encode() for number in failed_ones]
    assert reader._health.retries == 0, "the broker objects to nothing"


def test_a_commit_rejects_no_more_than_it_covers(
    rabbitmq: RabbitNode, queues: tuple[str, str], open_reader: Open
) -> None:
    queue, failed = queues
    reader = rejecting(open_reader, rabbitmq.account, queue)
    first = read(reader, 4)
    position = reader.position()
    rest = read(reader, 6)

    reader.reject([first[3], rest[0], rest[5]])
    reader.commit(position)
    eventually(lambda: rabbitmq.depth(queue) == (0, 6), "four are settled")
    eventually(lambda: rabbitmq.depth(failed)[0] == 1, "one of them is a dead letter")

    reader.commit(reader.position())
    settled(rabbitmq, queue)
    eventually(lambda: rabbitmq.depth(failed)[0] == 3, "the others follow")
    assert rabbitmq.drain(failed) == [b"3", b"4", b"9"]


def test_what_was_split_is_rejected_as_a_whole(
    rabbitmq: RabbitNode, queues: tuple[str, str], open_reader: Open
) -> None:
    queue, failed = queues
    reader = rejecting(open_reader, rabbitmq.account, queue)
    records = read(reader, 10)

    reader.reject([records[3].derive("a")])
    reader.reject([records[3].derive("b"), records[4].derive("a")])
    reader.commit(reader.position())

    settled(rabbitmq, queue)
    eventually(lambda: rabbitmq.depth(failed)[0] == 2, "both are dead letters")
    assert rabbitmq.drain(failed) == [b"3", b"4"]


def test_what_failed_on_a_lost_channel_comes_again(
    rabbitmq: RabbitNode, queues: tuple[str, str], open_reader: Open
) -> None:
    queue, failed = queues
    with TcpProxy("127.0.0.1", rabbitmq.port) as proxy:
        account = {"url": RabbitNode.url_at(proxy.port)}
        reader = rejecting(open_reader, account, queue)
        lost = read(reader, 10)
        reader.reject(lost[:3])
        old = reader.position()
        proxy.cut()
        eventually(lambda: reader._health.retries > 0 and reader._health.state == "up", "it is connected again")
        again = read(reader, 10)
        reader.reject(again[:1])
        reader.commit(old)

        reader.commit(reader.position())

        settled(rabbitmq, queue)
        eventually(lambda: rabbitmq.depth(failed)[0] == 1, "one is a dead letter")
        assert rabbitmq.drain(failed) == [again[0].raw]
        assert not reader._rejected, "nothing is remembered"
        reader.close(10)


def test_what_a_run_gives_up_goes_to_the_broker(
    rabbitmq: RabbitNode, queues: tuple[str, str], open_reader: Open, tmp_path: Path
) -> None:
    queue, failed = queues
    reader = rejecting(open_reader, rabbitmq.account, queue)
    assert isinstance(reader, Rejecter)
    run = FlowRun("test", tmp_path)
    run.readers.append(reader)
    records = read(reader, 10)

    run.failures.settle([_letter(records[7])], "dead_letter")
    reader.commit(reader.position())

    settled(rabbitmq, queue)
    eventually(lambda: rabbitmq.depth(failed)[0] == 1, "it is a dead letter")
    assert run.tally.failed == 1
    assert run.store.envelopes() == []
    run.close()


def test_others_do_not_reject(rabbitmq: RabbitNode, open_reader: Open) -> None:
    queue = rabbitmq.create_queue()
    rabbitmq.publish(queue, b"1")
    reader = open_reader(rabbitmq.account, queue)

    (record,) = read(reader, 1)

    assert not isinstance(reader, Rejecter)
    assert "delivery_tag" not in record.meta


def _letter(record: Record) -> DeadLetter:
    return DeadLetter(replace(record, body="changed"), "step", RecordError("no"), 1, 0.0)
