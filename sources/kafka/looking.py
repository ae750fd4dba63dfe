"""Asking a cluster what it has and what an account may do there; nothing is changed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AclOperation, OffsetSpec  # type: ignore[attr-defined]

from flowspec.errors import FatalError, FlowError, TransientError
from sources.kafka.errors import classify
from sources.tls_probe import speaks_tls

if TYPE_CHECKING:
    from concurrent.futures import Future

    from confluent_kafka.admin import ClusterMetadata, TopicDescription  # type: ignore[attr-defined]

    from sources.kafka.account import KafkaAccount

__all__ = ["Look", "cluster"]

_WITHIN = 9.0
"""Seconds for everything that is asked."""
_AGAIN_AFTER = 0.2
_STEP = 1.0
"""Seconds after which it is seen why a cluster does not answer: the client itself tries for as long as it may."""
_NO_BROKER = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_FIRST = "/bootstrap"
_UNREACHED = "what the brokers advertise cannot be reached"
_BY_ITSELF = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT})  # noqa: SLF001
"""What may be about one of the addresses of a broker, while another one is tried next."""


class _Client(Protocol):
    def list_topics(self, topic: str = ..., timeout: float = ...) -> ClusterMetadata: ...
    def poll(self, timeout: float) -> Any: ...


def cluster(client: _Client, errors: list[KafkaError], servers: Sequence[str]) -> ClusterMetadata:
    """What a cluster says of itself, all topics that the account may see among that.

    Args:
        client: Who asks.
        errors: What its `error_cb` adds to.
        servers: Who is asked first, for the error.

    Raises:
        TransientError: no broker answers.
        FatalError: a broker refuses us, and will do so again.
    """
    until = time.monotonic() + _WITHIN
    rounds = 0
    while True:
        try:
            return client.list_topics(timeout=_STEP)
        except KafkaException as error:
            client.poll(0)
            rounds += 1
            reason = _reason(errors, rounds)
            if reason is None and time.monotonic() + _STEP < until:
                continue
            raise _meaning(reason or error.args[0], servers) from error


def _reason(errors: Sequence[KafkaError], rounds: int) -> KafkaError | None:
    """Why no broker is left, after so many looks at that; None while there may be one."""
    if not any(error.code() == _NO_BROKER for error in errors):
        return None
    reason = next((error for error in errors if error.code() != _NO_BROKER), errors[0])
    return reason if rounds > 1 or reason.code() not in _BY_ITSELF else None


def _meaning(reason: KafkaError, servers: Sequence[str]) -> FlowError:
    named = ", ".join(servers)
    if reason.code() == _NO_BROKER:
        for server in servers:
            host, _, port = server.rpartition(":")
            if host and speaks_tls(host.strip("[]"), int(port)):
                return FatalError(f"{named}: the port is one for TLS; set security_protocol, or give ca_file")
        hint = "check the port and security_protocol: it may want a login, or TLS"
        return TransientError(f"{named}: the connection is closed before the broker answers ({hint})")
    if "Failed to get metadata" in reason.str():
        hint = "check host and port, firewall and security_protocol"
        return TransientError(f"{named}: no answer for {_WITHIN:.0f} s ({hint})")
    # The first addresses are marked so; what is not is one that was answered.
    advertised = "" if _FIRST in reason.str() else f": {_UNREACHED}"
    return classify(reason, f"{named}{advertised}")


class Look:
    """What a cluster answers to one account, within ten seconds."""

    def __init__(self, account: KafkaAccount) -> None:
        """Connect.

        Raises:
            TransientError: no broker answers.
            FatalError: a broker refuses us, and will do so again.
        """
        self._until = time.monotonic() + _WITHIN
        self._errors: list[KafkaError] = []
        self._admin = account.admin("trigger-flows-check", {"error_cb": self._errors.append})
        self._cluster = cluster(self._admin, self._errors, account.servers)
        # What is said from now on is about the addresses that the brokers advertise.
        self._errors.clear()
        who = f" as {account.username}" if account.username else ""
        count = len(self._cluster.brokers)
        self.cluster = (
            f"Kafka cluster {self._cluster.cluster_id} at {', '.join(account.servers)}{who}, "
            f"{count} broker{'s' * (count != 1)}"
        )
        """What answers, and where."""

    @property
    def topics(self) -> list[str]:
        """The topics that the account may see."""
        return sorted(self._cluster.topics)

    def describe(self, topics: Sequence[str], right: AclOperation) -> tuple[dict[str, int], bool]:
        """How many partitions topics have, and whether it is sure that the account has a right on them.

        Raises:
            TransientError: a topic cannot be used at present.
            FatalError: there is no such topic, or it may not be used.
        """
        found: dict[str, TopicDescription] = {}
        asked = self._admin.describe_topics(
            TopicCollection(list(topics)), include_authorized_operations=True, request_timeout=self._left
        )
        for topic, description in self._answers(asked, "topic"):
            found[topic] = description
            allowed = description.authorized_operations
            if allowed and right not in allowed:
                msg = f"topic {topic!r}: the account may not use it; it needs {right.name.capitalize()} on the topic"
                raise FatalError(msg)
        self._reach_leaders(found)
        counts = {topic: len(description.partitions) for topic, description in found.items()}
        return counts, all(description.authorized_operations for description in found.values())

    def members(self, group: str) -> int:
        """How many members a group has, which its coordinator says; one that is not there yet has none.

        Raises:
            TransientError: the coordinator cannot be reached at present.
            FatalError: the account may not use the group.
        """
        while True:
            try:
                return self._described(group)
            except TransientError:
                # A coordinator that has just started is not ready at once.
                if time.monotonic() + _AGAIN_AFTER > self._until:
                    raise
            time.sleep(_AGAIN_AFTER)

    def _described(self, group: str) -> int:
        # Not asked for its offsets: librdkafka's admin client crashes the process where the coordinator is not ready.
        asked = self._admin.describe_consumer_groups(
            [group], include_authorized_operations=True, request_timeout=self._left
        )
        try:
            ((_, answer),) = self._answers(asked, "group")
        except FlowError as error:
            cause = error.__cause__
            if isinstance(cause, KafkaException) and cause.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return 0
            raise
        allowed = answer.authorized_operations
        if allowed and AclOperation.READ not in allowed:
            msg = f"group {group!r}: the account may not use it; it needs Read on the group"
            raise FatalError(msg)
        return len(answer.members)

    def _reach_leaders(self, topics: Mapping[str, TopicDescription]) -> None:
        """See that what the brokers advertise can be reached from here, one partition for each leader."""
        partitions: dict[int, TopicPartition] = {}
        addresses: dict[int, str] = {}
        for topic, description in topics.items():
            for partition in description.partitions:
                leader = partition.leader
                if leader is None or leader.id < 0:
                    msg = f"{topic}/{partition.id} has no leader at present"
                    raise TransientError(msg)
                partitions[leader.id] = TopicPartition(topic, partition.id)
                addresses[leader.id] = f"{leader.host}:{leader.port}"
        if not partitions:
            return
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        asked = self._admin.list_offsets(dict.fromkeys(partitions.values(), latest), request_timeout=self._left)
        where = ", ".join(sorted(addresses.values()))
        for _ in self._answers(asked, f"{where}: partition"):
            pass

    def _answers(self, asked: Mapping[Any, Future[Any]], what: str) -> Iterator[tuple[Any, Any]]:
        for name, future in asked.items():
            about = f"{what} {_shown(name)}"
            rounds = 0
            while not future.done() and self._is_worth_waiting(rounds, about):
                rounds += 1
                wait([future], _STEP)
            try:
                yield name, future.result(_STEP)
            except KafkaException as error:
                raise classify(error, about) from error

    def _is_worth_waiting(self, rounds: int, about: str) -> bool:
        self._admin.poll(0)
        reason = _reason(self._errors, rounds)
        if reason is not None:
            raise classify(reason, f"{about}: {_UNREACHED}")
        return time.monotonic() < self._until + _STEP

    @property
    def _left(self) -> float:
        return max(1.0, self._until - time.monotonic())


def _shown(name: Any) -> str:
    return f"{name.topic}/{name.partition}" if isinstance(name, TopicPartition) else repr(name)
