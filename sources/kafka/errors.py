"""What an error of Kafka means for a flow."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException

from flowspec.errors import FatalError, RecordError, TransientError

__all__ = ["classify", "is_fenced", "is_unknown_topic"]

_UNKNOWN_TOPIC = frozenset({KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})  # noqa: SLF001
_FENCED = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}  # noqa: SLF001
)
_OF_THE_RECORD = frozenset(
    {
        KafkaError._BAD_MSG,  # noqa: SLF001
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.TOPIC_EXCEPTION,
    }
)
_FOR_GOOD = frozenset(
    {
        *_UNKNOWN_TOPIC,
        *_FENCED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001
        KafkaError._FATAL,  # noqa: SLF001
        KafkaError._INVALID_ARG,  # noqa: SLF001
        KafkaError._NOT_IMPLEMENTED,  # noqa: SLF001
        KafkaError._UNSUPPORTED_FEATURE,  # noqa: SLF001
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
        KafkaError.DELEGATION_TOKEN_EXPIRED,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.GROUP_MAX_SIZE_REACHED,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INVALID_REGULAR_EXPRESSION,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.POLICY_VIOLATION,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.SECURITY_DISABLED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNRELEASED_INSTANCE_ID,
        KafkaError.UNSUPPORTED_ASSIGNOR,
        KafkaError.UNSUPPORTED_COMPRESSION_TYPE,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.UNSUPPORTED_VERSION,
    }
)
_HINTS = {
    **dict.fromkeys(_UNKNOWN_TOPIC, "the topic does not exist; create it, or check its name and the account"),
    **dict.fromkeys(_FENCED, "another producer uses the same transactional id; give each replica its own"),
    KafkaError._AUTHENTICATION: "the login was refused; check username, password and sasl_mechanism",  # noqa: SLF001
    KafkaError.SASL_AUTHENTICATION_FAILED: "the login was refused; check username, password and sasl_mechanism",
    KafkaError.UNSUPPORTED_SASL_MECHANISM: "the broker does not offer this login; check sasl_mechanism",
    KafkaError._SSL: "TLS failed; check security_protocol, ca_file, certificate_file and key_file",  # noqa: SLF001
    KafkaError._RESOLVE: "the name of a broker is not known here; check bootstrap_servers, and what the "  # noqa: SLF001
    "brokers advertise",
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "the account may not use the topic; it needs Read to consume, Write to "
    "produce, and Describe",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "the account may not use the group; it needs Read on it",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "the account needs IdempotentWrite on the cluster, or Write on a topic",
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: "the account may not use the transactional id; it needs Write "
    "and Describe on it",
    KafkaError.INVALID_TRANSACTION_TIMEOUT: "transaction_timeout is longer than the broker's "
    "transaction.max.timeout.ms",
    KafkaError.MSG_SIZE_TOO_LARGE: "larger than the topic's max.message.bytes, or than message.max.bytes, which the "
    "account's properties can set",
    KafkaError.INVALID_RECORD: "a compacted topic takes no message without a key",
    KafkaError._UNKNOWN_PARTITION: "the topic has no such partition",  # noqa: SLF001
    KafkaError.TOPIC_EXCEPTION: "a topic has up to 249 letters, digits, '.', '_' and '-' as its name",
    KafkaError.FENCED_INSTANCE_ID: "another consumer has the same group.instance.id; give each replica its own",
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: "the group has members of another kind; use a group of its own",
}
_HINTS_BY_TEXT = {
    "Connection refused": "nothing listens there; check bootstrap_servers, and what the brokers advertise",
    "certificate verify failed": "the broker's certificate is not trusted; check ca_file, and that bootstrap_servers "
    "has the name that is in the certificate",
    "SSL connection closed by peer": "the port does not speak TLS; check the port and security_protocol",
    "Request not valid in current SASL state": "the port takes no login; check the port and security_protocol",
    "Unsupported SASL mechanism": "the broker does not offer this login; check sasl_mechanism",
    "expired": "the login was refused: its token has expired; renew it",
}
"""What to do where the text says more than the code; the first that is in it."""
_PASSING = ("timed out", "transport failure", "disconnected")
"""What a login that was cut off says: librdkafka calls that a failed login as well."""


def classify(error: KafkaError | KafkaException | Exception, what: str) -> TransientError | FatalError | RecordError:
    """An error, sorted by what is to be done about it.

    What is not known is tried again: it is seen as `down`, and may pass.

    Args:
        error: What librdkafka or a broker says.
        what: What it is about: a topic, a group.
    """
    if isinstance(error, KafkaException):
        error = error.args[0]
    if not isinstance(error, KafkaError):
        return FatalError(f"{what}: {error or repr(error)}")
    by_text = (hint for known, hint in _HINTS_BY_TEXT.items() if known in error.str())
    hint = next(by_text, _HINTS.get(error.code()))
    text = f"{what}: {error.name()}: {error.str()}" + (f" ({hint})" if hint else "")
    if error.code() in _OF_THE_RECORD:
        return RecordError(text)
    if error.fatal() or (error.code() in _FOR_GOOD and not _is_a_cut_login(error)):
        return FatalError(text)
    return TransientError(text)


def is_unknown_topic(error: KafkaError) -> bool:
    """Whether `error` says that there is no such topic, or partition of it."""
    return error.code() in _UNKNOWN_TOPIC


def is_fenced(error: KafkaError) -> bool:
    """Whether `error` says that another producer has taken over the transactional id."""
    return error.code() in _FENCED


def _is_a_cut_login(error: KafkaError) -> bool:
    return error.code() == KafkaError._AUTHENTICATION and any(  # noqa: SLF001
        passing in error.str().lower() for passing in _PASSING
    )
