"""A server that is missing is never passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import kafka as kafka_server
from tests.servers.kafka import KafkaBroker, kafka
from tests.servers.maven import MavenError, UnreachableError, jars
from tests.servers.missing import missing


def test_its_tests_are_skipped_where_people_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="NOT TESTED, RabbitMQ is missing: install it"):
        missing("RabbitMQ", "install it")


def test_its_tests_fail_where_a_change_is_about_to_land(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="NOT TESTED, RabbitMQ is missing: install it"):
        missing("RabbitMQ", "install it")
    with pytest.raises(pytest.skip.Exception, match="no network"):
        missing("Kafka", "no network", excused=True)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        (MavenError("mvn not installed"), pytest.fail.Exception),
        (UnreachableError("Maven cannot get kafka"), pytest.skip.Exception),
    ],
)
def test_kafka_is_missed_unless_nothing_is_to_be_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reason: MavenError, outcome: type[Exception]
) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.delenv("PIPELINES_TEST_KAFKA", raising=False)
    monkeypatch.setattr(kafka_server, "kafka_program", lambda: reason)

    with pytest.raises(outcome, match=f"{reason}; a broker for tests can be named: PIPELINES_TEST_KAFKA=host:port"):
        kafka(tmp_path).__enter__()


def test_another_kafka_is_used_and_not_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kafka: KafkaBroker
) -> None:
    monkeypatch.setenv("PIPELINES_TEST_KAFKA", kafka.bootstrap_servers)
    monkeypatch.setattr(kafka_server, "kafka_program", lambda: MavenError("mvn not installed"))

    with kafka_server.kafka(tmp_path) as other:
        topic = other.create_topic()
        other.produce(topic, b"value")
        assert [message.value() for message in kafka.consume(topic)] == [b"value"]
        with pytest.raises(pytest.skip.Exception, match="needs a Kafka broker that it may kill"):
            other.kill()
        with pytest.raises(pytest.skip.Exception, match="needs a Kafka broker that it may kill"):
            _ = other.proxied_servers


def test_without_java_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tests.servers.maven.CACHE", tmp_path / "cache")

    with pytest.raises(MavenError, match="java and mvn not installed"):
        jars("nothing-1.0", "org.example:nothing:1.0")
