"""The SQS server that benchmarks run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.servers.sqs import SqsServer, elasticmq, ministack

__all__ = ["BenchmarkServer", "fastest_server"]


@dataclass(frozen=True)
class BenchmarkServer:
    """A running server, and what to call it."""

    name: str
    sqs: SqsServer


@contextmanager
def fastest_server(directory: Path) -> Iterator[BenchmarkServer]:
    """ElasticMQ, or ministack where that cannot be had."""
    with ExitStack() as stack:
        try:
            server = BenchmarkServer("ElasticMQ", stack.enter_context(elasticmq(directory)))
        except pytest.skip.Exception as missing:
            name = f"ministack, which slows down with its backlog and looks for messages every 100 ms ({missing})"
            server = BenchmarkServer(name, stack.enter_context(ministack(directory)))
        yield server
