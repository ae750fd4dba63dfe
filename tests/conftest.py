"""Fixtures for all tests: real servers on the loopback interface, for the whole session."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from pipelines import logs
from tests.leftovers import Leftovers, Servers
from tests.planted import listening, pytest_configure, pytest_runtest_makereport, searched_directory  # noqa: F401 - hooks
from tests.servers.certificates import make_certificates
from tests.servers.database import Database
from tests.servers.kafka import KafkaBroker, kafka
from tests.servers.kafka_mock import KafkaMock, kafka_mock
from tests.servers.mariadb import MariadbServer, mariadb
from tests.servers.postgresql import PostgresServer, postgresql
from tests.servers.rabbitmq import RabbitNode, rabbitmq
from tests.servers.s3 import S3Server, ministack_s3, s3proxy
from tests.servers.schema_registry import RegistryServer, schema_registry
from tests.servers.sqlite import SqliteFile
from tests.servers.sqs import SqsServer, elasticmq, ministack

# How long an example takes never decides a test.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# No test depends on, or harms, what this machine knows about AWS.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull

_servers = Servers()


@pytest.fixture(autouse=True)
def _no_test_leaves_anything_running() -> Iterator[None]:
    """A process or thread that outlives its test is an error of that test."""
    leftovers = Leftovers(_servers)
    yield
    if found := leftovers.end():
        pytest.fail("the test left running: " + "; ".join(found))


@pytest.fixture(autouse=True)
def _no_test_leaves_its_logging() -> Iterator[None]:
    """A command that was run in this process has set up its log; the next test has the former one again."""
    root = logging.getLogger()
    handlers = root.handlers
    levels = {name: logging.getLogger(name).level for name in (None, *logs.TALKATIVE)}
    yield
    root.handlers = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """An SQS-compatible server whose semantics are right."""
    with _servers.kept(ministack(tmp_path_factory.mktemp("ministack"))) as server:
        yield server


@pytest.fixture(scope="session", name="elasticmq")
def _elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """Another one, written by other people; skipped where it cannot be had."""
    with _servers.kept(elasticmq(tmp_path_factory.mktemp("elasticmq"))) as server:
        yield server


@pytest.fixture(params=["sqs", "elasticmq"], ids=["ministack", "elasticmq"])
def any_sqs(request: pytest.FixtureRequest) -> SqsServer:
    """Each of them in turn."""
    server: SqsServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3-compatible server."""
    with _servers.kept(ministack_s3(tmp_path_factory.mktemp("s3"))) as server:
        yield server


@pytest.fixture(scope="session", name="s3proxy")
def _s3proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Another one, written by other people; skipped where it cannot be had."""
    with _servers.kept(s3proxy(tmp_path_factory.mktemp("s3proxy"))) as server:
        yield server


@pytest.fixture(params=["s3", "s3proxy"], ids=["ministack", "s3proxy"])
def any_s3(request: pytest.FixtureRequest) -> S3Server:
    """Each of them in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an authority, and a server and a client that it has certified."""
    directory = tmp_path_factory.mktemp("certificates")
    make_certificates(directory)
    return directory


@pytest.fixture(scope="session", name="rabbitmq")
def _rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A RabbitMQ node for all tests, which therefore do it no harm."""
    with _servers.kept(rabbitmq(tmp_path_factory.mktemp("rabbitmq"))) as node:
        yield node


@pytest.fixture
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitNode]:
    """A RabbitMQ node for one test, which may kill it."""
    with rabbitmq(tmp_path_factory.mktemp("rabbitmq")) as node:
        yield node


@pytest.fixture(scope="session", name="schema_registry")
def _schema_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryServer]:
    """A schema registry for all tests; skipped where it cannot be had."""
    with _servers.kept(schema_registry(tmp_path_factory.mktemp("schema-registry"))) as server:
        yield server


@pytest.fixture(scope="session", name="kafka")
def _kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A Kafka broker for all tests, which therefore do it no harm."""
    with _servers.kept(kafka(tmp_path_factory.mktemp("kafka"))) as broker:
        yield broker


@pytest.fixture
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaBroker]:
    """A Kafka broker for one test, which may kill it."""
    with kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(name="kafka_mock")
def _kafka_mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaMock]:
    """A mock of a Kafka cluster for one test, which may let it fail."""
    with kafka_mock(tmp_path_factory.mktemp("kafka-mock")) as cluster:
        yield cluster


@pytest.fixture(scope="session", name="postgresql")
def _postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server for all tests, which therefore do it no harm."""
    with _servers.kept(postgresql(tmp_path_factory.mktemp("postgresql"))) as server:
        yield server


@pytest.fixture
def own_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A PostgreSQL server for one test, which may kill it."""
    with postgresql(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture(scope="session", name="mariadb")
def _mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    """A MariaDB server for all tests, which therefore do it no harm."""
    with _servers.kept(mariadb(tmp_path_factory.mktemp("mariadb"))) as server:
        yield server


@pytest.fixture
def own_mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariadbServer]:
    """A MariaDB server for one test, which may kill it."""
    with mariadb(tmp_path_factory.mktemp("mariadb")) as server:
        yield server


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteFile:
    """An SQLite file for one test."""
    return SqliteFile(tmp_path / "database.sqlite")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request: pytest.FixtureRequest) -> Database:
    """Each of the databases in turn."""
    database: Database = request.getfixturevalue(request.param)
    return database
