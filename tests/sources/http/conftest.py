"""A server for the tests of this directory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers.http_api import Items
from tests.servers.http_server import HttpServer


@pytest.fixture
def server() -> Iterator[HttpServer]:
    """A server that answers nothing yet."""
    with HttpServer() as server:
        yield server


@pytest.fixture
def items(server: HttpServer) -> Items:
    """An API of items on it."""
    return Items(server)
