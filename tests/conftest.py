"""Fixtures for all tests: real servers on the loopback interface, for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.servers.sqs import SqsServer, elasticmq, ministack

# No test depends on, or harms, what this machine knows about AWS.
for name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


@pytest.fixture(scope="session")
def sqs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """An SQS-compatible server whose semantics are right."""
    with ministack(tmp_path_factory.mktemp("ministack")) as server:
        yield server


@pytest.fixture(scope="session", name="elasticmq")
def _elasticmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqsServer]:
    """Another one, written by other people; skipped where it cannot be had."""
    with elasticmq(tmp_path_factory.mktemp("elasticmq")) as server:
        yield server


@pytest.fixture(params=["sqs", "elasticmq"], ids=["ministack", "elasticmq"])
def any_sqs(request: pytest.FixtureRequest) -> SqsServer:
    """Each of them in turn."""
    server: SqsServer = request.getfixturevalue(request.param)
    return server
