"""What is said of an account, of topics and of a group that could be used."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]

from sources.kafka.account import KafkaAccount
from sources.kafka.looking import Look

if TYPE_CHECKING:
    from sources.kafka.trigger import ConsumeTopics

__all__ = ["check_account", "check_consume", "check_produce"]

_MOST_NAMED = 5


def check_account(account: KafkaAccount) -> str:
    """The cluster that answers.

    Raises:
        TransientError: no broker answers.
        FatalError: a broker refuses us, and will do so again.
    """
    return Look(account).cluster


def check_consume(trigger: ConsumeTopics) -> str:
    """The topics of a trigger and its group.

    Raises:
        TransientError: the cluster cannot be reached at present.
        FatalError: a topic does not exist, or it or the group may not be used.
    """
    look = Look(KafkaAccount.of(trigger.account))
    pattern = trigger.topic_pattern
    topics = trigger.topics if pattern is None else [topic for topic in look.topics if re.match(pattern, topic)]
    if not topics:
        return f"{look.cluster}; no topic that the account may see matches {pattern!r} at present"
    counts, is_sure = look.describe(topics, AclOperation.READ)
    said = [look.cluster, _topics(counts)]
    unknown = [] if is_sure else ["the right to read"]
    if trigger.group is None:
        unknown.append("the group, which is the name of the flow")
    else:
        said.append(f"group {trigger.group!r} has {look.members(trigger.group)} members")
    return "; ".join([*said, *_unchecked(unknown)])


def check_produce(account: KafkaAccount, topic: str | None, *, transactional: bool) -> str:
    """The topic of a sink; None where it differs by record.

    Raises:
        TransientError: the cluster cannot be reached at present.
        FatalError: the topic does not exist, or may not be written to.
    """
    look = Look(account)
    unknown = ["the right to the transactional id"] if transactional else []
    if topic is None:
        return "; ".join([look.cluster, *_unchecked(["the topic, which differs by record", *unknown])])
    counts, is_sure = look.describe([topic], AclOperation.WRITE)
    if not is_sure:
        unknown.append("the right to write")
    return "; ".join([look.cluster, _topics(counts), *_unchecked(unknown)])


def _topics(counts: dict[str, int]) -> str:
    named = [f"{topic!r} ({count})" for topic, count in list(counts.items())[:_MOST_NAMED]]
    more = f" and {len(counts) - _MOST_NAMED} more" if len(counts) > _MOST_NAMED else ""
    return f"topics and their partitions: {', '.join(named)}{more}"


def _unchecked(unknown: list[str]) -> list[str]:
    return [f"not checked: {', '.join(unknown)}"] if unknown else []
