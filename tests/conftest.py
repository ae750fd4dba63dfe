"""Fixtures for all tests: real servers on the loopback interface, for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.leftovers import Leftovers, Servers
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
