from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from flowspec.errors import FatalError, FlowError, RecordError, TransientError
from sources.kafka.errors import classify, is_fenced, is_unknown_topic

LOGIN_CUT = "SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure"
LOGIN_WRONG = "SASL authentication error: Authentication failed: Invalid username or password"


@pytest.mark.parametrize(
    ("error", "kind", "advice"),
    [
        (KafkaError(KafkaError._TRANSPORT), TransientError, ""),
        (KafkaError(KafkaError._ALL_BROKERS_DOWN), TransientError, ""),
        (KafkaError(KafkaError._MSG_TIMED_OUT), TransientError, ""),
        (KafkaError(KafkaError._RESOLVE), TransientError, "bootstrap_servers"),
        (KafkaError(KafkaError._SSL), TransientError, "ca_file"),
        (KafkaError(KafkaError._AUTHENTICATION, LOGIN_CUT), TransientError, "username"),
        (KafkaError(KafkaError.UNKNOWN), TransientError, ""),
        (KafkaError(KafkaError.NOT_ENOUGH_REPLICAS), TransientError, ""),
        (KafkaError(KafkaError.KAFKA_STORAGE_ERROR), TransientError, ""),
        (KafkaError(KafkaError._AUTHENTICATION, LOGIN_WRONG), FatalError, "username"),
        (KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED), FatalError, "username"),
        (KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART), FatalError, "create it"),
        (KafkaError(KafkaError._UNKNOWN_TOPIC), FatalError, "create it"),
        (KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), FatalError, "Write to produce"),
        (KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED), FatalError, "group"),
        (KafkaError(KafkaError._FENCED), FatalError, "give each replica its own"),
        (KafkaError(KafkaError.NETWORK_EXCEPTION, fatal=True), FatalError, ""),
        (KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), RecordError, "message.max.bytes"),
        (KafkaError(KafkaError._UNKNOWN_PARTITION), RecordError, "no such partition"),
        (KafkaError(KafkaError.INVALID_RECORD), RecordError, "compacted"),
        (KafkaError(KafkaError.TOPIC_EXCEPTION), RecordError, "249"),
        (ValueError("a bug"), FatalError, "a bug"),
    ],
    ids=repr,
)
def test_an_error_is_sorted_with_advice(error: KafkaError | Exception, kind: type[FlowError], advice: str) -> None:
    classified = classify(error, "topic 'orders'")

    assert type(classified) is kind
    assert str(classified).startswith("topic 'orders': ")
    assert advice in str(classified)


def test_an_exception_means_what_its_error_means() -> None:
    with pytest.raises(KafkaException) as raised:
        Producer({"bootstrap.servers": "127.0.0.1:1"}).list_topics(timeout=0.01)

    classified = classify(raised.value, "topic 'orders'")

    assert isinstance(classified, TransientError)
    assert "_TRANSPORT" in str(classified)


def test_the_errors_that_a_sink_asks_for() -> None:
    assert is_unknown_topic(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
    assert is_fenced(KafkaError(KafkaError._FENCED))
    assert not is_unknown_topic(KafkaError(KafkaError._UNKNOWN_PARTITION))
    assert not is_fenced(KafkaError(KafkaError._TRANSPORT))
