"""What every test of a running flow needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pipelines.flows import RunningFlow


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """A test that fails in the middle leaves no flow behind."""
    yield
    RunningFlow.kill_all()
