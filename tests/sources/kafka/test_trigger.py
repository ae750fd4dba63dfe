"""The spec model of the trigger."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic import ValidationError

from sources.kafka import ConsumeTopics


def trigger(**fields: Any) -> ConsumeTopics:
    return ConsumeTopics(account="kafka", **fields)


def test_topics_or_a_pattern_are_given() -> None:
    assert trigger(topics=["orders"]).subscription == ["orders"]
    assert trigger(topic_pattern="orders-.*").subscription == ["^orders-.*"]
    assert trigger(topic_pattern="^orders-.*").subscription == ["^orders-.*"]
    wrong: list[dict[str, Any]] = [{}, {"topics": []}, {"topics": ["orders"], "topic_pattern": "orders"}]
    for fields in wrong:
        with pytest.raises(ValidationError, match="give either topics or topic_pattern"):
            trigger(**fields)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("orders-(", "no regular expression"), (r"orders-\d+", "write \\[0-9\\]"), ("a+?", "POSIX"), ("(?i)a", "POSIX")],
)
def test_a_pattern_that_kafka_would_not_understand_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        trigger(topic_pattern=pattern)


def test_a_name_that_no_topic_has_is_refused() -> None:
    for name in ("", "orders/1", "^orders", "x" * 250):
        with pytest.raises(ValidationError):
            trigger(topics=[name])


def test_start_may_be_a_time_with_its_offset() -> None:
    assert trigger(topics=["orders"]).since is None
    parsed = trigger(topics=["orders"], start="2024-05-01T02:00:00+02:00")
    assert parsed.since == datetime(2024, 5, 1, tzinfo=timezone.utc)
    assert ConsumeTopics(**parsed.model_dump(mode="json")) == parsed
    for start in ("yesterday", "2024-05-01T02:00:00"):
        with pytest.raises(ValidationError):
            trigger(topics=["orders"], start=start)


def test_a_pinned_flow_is_no_member() -> None:
    with pytest.raises(ValidationError, match="instance_id is for members"):
        trigger(topics=["orders"], assignment="pinned", instance_id="billing")


def test_a_group_has_one_partition_for_each_worker() -> None:
    assert trigger(topics=["orders"]).partitions(3) == ["0", "1", "2"]
