"""The garbage collector while a flow runs, and after."""

from __future__ import annotations

import gc

import pytest

from flowspec.delivery.collector import collecting_rarely


def test_it_collects_rarely_and_leaves_what_was_there_alone() -> None:
    with collecting_rarely():
        assert gc.isenabled()
        assert gc.get_threshold()[0] > 5_000
        assert gc.get_freeze_count() > 0


def test_everything_is_as_before_when_the_flow_has_ended_also_badly() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), collecting_rarely():
        raise RuntimeError
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
