"""What a check says of a real broker, and exactly what is wrong."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclOperation, ResourceType  # type: ignore[attr-defined]

from flowspec.errors import FatalError, FlowError, TransientError
from sinks.kafka import Produce
from sources.kafka import ConsumeTopics, KafkaAccount
from tests.pipelines.flows import eventually
from tests.secrets import leaks_in, secret
from tests.servers.kafka import KafkaBroker
from tests.servers.process import server_port
from tests.sources.kafka.secured import SecuredBroker, secured_kafka

WRONG = secret("Wrong")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[SecuredBroker]:
    with secured_kafka(tmp_path_factory.mktemp("secured-kafka"), certificates) as broker:
        yield broker


def trigger(account: dict[str, Any], *topics: str, **fields: Any) -> ConsumeTopics:
    return ConsumeTopics(account=KafkaAccount(**account), topics=list(topics), **fields)


def sink(account: dict[str, Any], topic: str, **fields: Any) -> Produce:
    return Produce.model_validate({"account": KafkaAccount(**account), "topic": topic, **fields})


def on_port(port: int, **fields: Any) -> dict[str, Any]:
    return {"bootstrap_servers": f"127.0.0.1:{port}", **fields}


def problem(checked: KafkaAccount | ConsumeTopics | Produce, kind: type[FlowError]) -> str:
    with pytest.raises(FlowError) as raised:
        checked.check()
    assert type(raised.value) is kind
    return str(raised.value)


def test_the_cluster_is_named(kafka: KafkaBroker) -> None:
    said = KafkaAccount(**kafka.account).check()

    assert re.fullmatch(rf"Kafka cluster \S+ at {kafka.bootstrap_servers}, 1 broker", said)


def test_one_broker_of_several_is_enough(kafka: KafkaBroker) -> None:
    servers = [f"127.0.0.1:{server_port()}", kafka.bootstrap_servers]

    assert KafkaAccount(bootstrap_servers=servers).check().startswith("Kafka cluster ")


def test_tls_and_a_login(broker: SecuredBroker) -> None:
    assert "1 broker" in KafkaAccount(**on_port(broker.tls_port, ca_file=broker.ca_file)).check()
    said = KafkaAccount(**broker.alice()).check()
    assert " as alice, " in said
    assert leaks_in(said) == []


def test_an_address_that_nobody_answers_at() -> None:
    port = server_port()
    refused = problem(KafkaAccount(**on_port(port)), TransientError)
    assert "Connection refused" in refused
    assert "nothing listens there" in refused

    unknown = problem(KafkaAccount(bootstrap_servers="no-such-host.invalid:9092"), TransientError)
    assert "the name of a broker is not known here" in unknown


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        said = problem(KafkaAccount(**on_port(silent.getsockname()[1])), TransientError)

    assert "no answer for 9 s" in said


def test_tls_that_does_not_fit(broker: SecuredBroker) -> None:
    untrusted = problem(KafkaAccount(**on_port(broker.tls_port, security_protocol="ssl")), TransientError)
    assert "the broker's certificate is not trusted" in untrusted

    plain = problem(KafkaAccount(**on_port(broker.tls_port)), FatalError)
    assert "the port is one for TLS" in plain

    tls = problem(KafkaAccount(**on_port(broker.port, ca_file=broker.ca_file)), TransientError)
    assert "the port does not speak TLS" in tls


def test_a_login_that_does_not_fit(broker: SecuredBroker) -> None:
    wrong = problem(KafkaAccount(**broker.alice(WRONG)), FatalError)
    assert "check username, password" in wrong
    assert WRONG not in wrong

    mechanism = problem(KafkaAccount(**broker.alice(sasl_mechanism="SCRAM-SHA-256")), FatalError)
    assert "does not offer this login" in mechanism

    nobody = problem(KafkaAccount(**on_port(broker.login_port)), TransientError)
    assert "it may want a login" in nobody

    needless = problem(KafkaAccount(**broker.alice(**on_port(broker.port))), FatalError)
    assert "the port takes no login" in needless


def test_topics_and_a_group(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic(partitions=2)
    group = f"of-{topic}"
    for read_group, expected in (
        (group, f"group '{group}' has 0 members"),
        (None, "the group, which"),
    ):
        said = trigger(kafka.account, topic, group=read_group).check()
        assert f"'{topic}' (2)" in said
        assert expected in said
    assert kafka.committed(group, topic) == {}

    pattern = ConsumeTopics(account=KafkaAccount(**kafka.account), topic_pattern=f"{topic}$", group=group)
    assert f"'{topic}' (2)" in pattern.check()
    nothing = ConsumeTopics(account=KafkaAccount(**kafka.account), topic_pattern="nothing-like-it", group=group)
    assert "no topic that the account may see matches 'nothing-like-it'" in nothing.check()


def test_a_topic_that_does_not_exist_is_not_made(kafka: KafkaBroker) -> None:
    for checked in (trigger(kafka.account, "orders-missing"), sink(kafka.account, "orders-missing")):
        assert "topic 'orders-missing'" in problem(checked, FatalError)
    assert "orders-missing" not in kafka.admin().list_topics(timeout=60).topics


def test_a_sink(kafka: KafkaBroker) -> None:
    topic = kafka.create_topic()

    assert f"'{topic}' (1)" in sink(kafka.account, topic).check()
    said = sink(kafka.account, "orders-{country}", exactly_once=True).check()
    assert said.endswith("not checked: the topic, which differs by record, the right to the transactional id")
    assert kafka.end_offsets(topic) == {0: 0}, "nothing was written"


def test_an_address_that_is_advertised_and_not_reached(broker: SecuredBroker) -> None:
    topic = broker.create_topic()

    said = problem(trigger(on_port(broker.lost_port), topic), TransientError)

    assert "what the brokers advertise cannot be reached" in said


def test_rights_are_told_apart(broker: SecuredBroker) -> None:
    topic, group = broker.create_topic(), "billing"
    reading, writing = trigger(broker.alice(), topic, group=group), sink(broker.alice(), topic)

    def comes_to(checked: ConsumeTopics | Produce, expected: str) -> None:
        """A right is there a moment after it was given."""
        eventually(lambda: expected in _said(checked), f"it is said that {expected}")

    comes_to(reading, "TOPIC_AUTHORIZATION_FAILED")
    comes_to(writing, "TOPIC_AUTHORIZATION_FAILED")
    broker.allow(AclOperation.DESCRIBE, ResourceType.TOPIC, topic)
    comes_to(reading, "it needs Read on the topic")
    comes_to(writing, "it needs Write on the topic")
    broker.allow(AclOperation.READ, ResourceType.TOPIC, topic)
    broker.allow(AclOperation.WRITE, ResourceType.TOPIC, topic)
    comes_to(reading, "GROUP_AUTHORIZATION_FAILED")
    comes_to(writing, f"'{topic}' (1)")
    broker.allow(AclOperation.DESCRIBE, ResourceType.GROUP, group)
    comes_to(reading, "it needs Read on the group")
    broker.allow(AclOperation.READ, ResourceType.GROUP, group)
    comes_to(reading, f"group '{group}' has 0 members")


def _said(checked: ConsumeTopics | Produce) -> str:
    try:
        return checked.check()
    except FlowError as error:
        return str(error)
