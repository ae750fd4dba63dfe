"""What is told apart in the history of a group."""

from __future__ import annotations

import pytest

from tests.servers.kafka_commits import Commit, check_owners


def _history(*made: tuple[str, int], partition: int = 0) -> list[Commit]:
    return [Commit(partition, offset, member) for member, offset in made]


def test_partitions_that_come_and_go_have_one_owner_at_a_time() -> None:
    history = _history(("a", 1), ("b", 2), ("b", 3), ("a", 4), ("c", 5), ("a", 6))
    check_owners(history + _history(("b", 1), ("a", 2), partition=1))


def test_a_commit_after_the_partition_was_lost_is_found() -> None:
    with pytest.raises(AssertionError, match="of who had lost it"):
        check_owners(_history(("a", 1), ("b", 2), ("a", 2), ("b", 3)))


def test_an_offset_that_goes_back_is_found() -> None:
    with pytest.raises(AssertionError, match="went back"):
        check_owners(_history(("a", 5), ("b", 4)))
