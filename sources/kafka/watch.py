"""Whether the cluster is reached, and whether the topics are there."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from flowspec.errors import FatalError, FlowError
from sources.kafka.errors import classify, is_unknown_topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Consumer

    from flowspec.delivery.health import Health
    from sources.kafka.committer import Committer

__all__ = ["Log", "Watch"]

_log = logging.getLogger(__name__)

_LOOK_EVERY = 1.0
_ANSWER_WITHIN = 5.0
"""Seconds that a broker has to answer before it counts as down."""
_MISSING_FOR = 3.0
"""Seconds after which a topic that no broker knows does not exist: a broker that has just started, or has just made a
topic, may not know it yet."""


class Watch:
    """Keeps the health of a consumer. For the thread that polls it.

    librdkafka says when a connection is lost, for each broker and connection, and never when all is well again: the
    topic may be idle. So what it says is a reason to ask the cluster, and what the cluster answers counts.
    """

    def __init__(self, consumer: Consumer, topics: Sequence[str], health: Health, committer: Committer) -> None:
        """Watch what `consumer` needs; `topics` must exist, or are none for a pattern."""
        self._consumer = consumer
        self._topics = topics
        self._what = ", ".join(topics) or "topics"
        self._health = health
        self._committer = committer
        self._doubt: FlowError | None = None
        self._missing_since: float | None = None
        self._look_at = 0.0

    def heard(self) -> None:
        """Say that the cluster has sent something that was asked for."""
        if not self._committer.fails:
            self._health.up()

    def notice(self, error: KafkaError) -> None:
        """Take note of an error.

        Raises:
            FatalError: consuming cannot go on.
        """
        if is_unknown_topic(error):
            self._missing_since = self._missing_since or time.monotonic()
            return
        meaning = classify(error, self._what)
        if isinstance(meaning, FatalError):
            raise meaning
        # The first says why; those that follow say that there is no broker left.
        self._doubt = self._doubt or meaning

    def look(self) -> None:
        """Ask the cluster where there is reason to, and not more often than once per second.

        Raises:
            FatalError: a topic does not exist, or may not be read.
        """
        now = time.monotonic()
        is_well = self._health.state == "up" and not (self._doubt or self._missing_since or self._committer.fails)
        if is_well or now < self._look_at:
            return
        try:
            self._ask(now)
        except KafkaException as error:
            self._doubt = self._doubt or classify(error, self._what)
            if isinstance(self._doubt, FatalError):
                raise self._doubt from error
            self._health.down(self._doubt)
        self._look_at = time.monotonic() + _LOOK_EVERY

    def _ask(self, now: float) -> None:
        missing = None
        for topic in self._topics or (None,):
            answer = self._consumer.list_topics(topic, timeout=_ANSWER_WITHIN)
            error = answer.topics[topic].error if topic in answer.topics else None
            if error is not None and is_unknown_topic(error):
                missing = classify(error, topic or self._what)
            elif error is not None:
                raise KafkaException(error)
        self._missing_since = None if missing is None else self._missing_since or now
        if self._committer.fails and self._committer.error is not None:
            self._health.down(self._committer.error)
        elif missing is None:
            self._doubt = None
            self._health.up()
        elif self._missing_since is not None and now - self._missing_since > _MISSING_FOR:
            raise missing


class Log:
    """What librdkafka writes into its log: it says nowhere else that messages are lost."""

    def log(self, level: int, text: str, *values: object) -> None:
        """Take one line; the values are what it is about, the name of the client, and the line itself."""
        about, _, line = values
        if about == "OFFSET" and "Offset out of range" in str(line):
            _log.warning("messages were lost, retention deleted them before they were read: %s", line)
        else:
            _log.debug(text, *values)
