"""Deliveries out of bytes, beside what pika makes of the same bytes."""

from __future__ import annotations

from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pika import frame, spec
from pika.channel import ContentFrameAssembler

from sources.rabbitmq.deliveries import Deliveries, Delivery
from sources.rabbitmq.properties import decode_properties

CHANNEL = 3
MOST_OF_A_FRAME = 5
"""So that bodies come in several frames."""

names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
octets, longs = st.integers(0, 255), st.integers(-(2**63), 2**63 - 1)
times = st.integers(0, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, tz=timezone.utc))
decimals = st.builds(lambda digits, places: Decimal(digits).scaleb(-places), longs.map(lambda n: n % 2**31), octets)
values = st.recursive(
    st.none() | st.booleans() | longs | st.text() | st.binary() | times | decimals,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
properties = st.fixed_dictionaries(
    {},
    optional={
        "headers": st.dictionaries(names, values, max_size=5),
        "delivery_mode": octets,
        "priority": octets,
        "timestamp": st.integers(0, 2**64 - 1),
        "content_type": names,
        "content_encoding": names,
        "correlation_id": names,
        "reply_to": names,
        "expiration": names,
        "message_id": names,
        "type": names,
        "user_id": names,
        "app_id": names,
        "cluster_id": names,
    },
)
messages = st.builds(
    lambda tag, redelivered, exchange, key, given, body: (
        spec.Basic.Deliver("ctag1.a", tag, redelivered, exchange, key),
        spec.BasicProperties(**given),
        body,
    ),
    st.integers(1, 2**64 - 1),
    st.booleans(),
    names,
    names,
    properties,
    st.binary(max_size=40),
)
others = st.sampled_from(
    [
        frame.Heartbeat(),
        frame.Method(0, spec.Connection.Blocked("low on memory")),
        frame.Method(CHANNEL, spec.Basic.QosOk()),
        frame.Method(CHANNEL + 1, spec.Queue.DeclareOk("orders", 7, 1)),
        frame.Method(CHANNEL, spec.Channel.Close(406, "PRECONDITION_FAILED", 60, 80)),
        frame.Method(CHANNEL, spec.Basic.Ack(1, True)),
    ]
)


@st.composite
def streams(draw: st.DrawFn) -> list[bytes]:
    """Frames of messages and others; only frames of other channels come between those of a message."""
    frames: list[bytes] = []
    for item in draw(st.lists(messages | others, max_size=6)):
        if not isinstance(item, tuple):
            frames.append(item.marshal())
            continue
        method, given, body = item
        parts = [body[at : at + MOST_OF_A_FRAME] for at in range(0, len(body), MOST_OF_A_FRAME)]
        for content in [
            frame.Method(CHANNEL, method),
            frame.Header(CHANNEL, len(body), given),
            *(frame.Body(CHANNEL, part) for part in parts),
        ]:
            frames.append(content.marshal())
            if draw(st.integers(0, 9)) == 0:
                frames.append(frame.Heartbeat().marshal())
    return frames


def by_pika(data: bytes) -> list[Any]:
    """Messages as tuples, other frames as their bytes, in order."""
    assembler = ContentFrameAssembler()
    found: list[Any] = []
    decoded: Any
    message: Any
    while data:
        size, decoded = frame.decode_frame(data)
        one, data = data[:size], data[size:]
        method = getattr(decoded, "method", None)
        if isinstance(decoded, (frame.Header, frame.Body)) or isinstance(method, spec.Basic.Deliver):
            if message := assembler.process(decoded):
                found.append(message)
        else:
            found.append(one)
    return found


def reads(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(data) + 1) for cut in cuts} | {len(data)})
    return [data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_all_comes_out_as_pika_reads_it_wherever_reads_end(frames: list[bytes], cuts: list[int]) -> None:
    data = b"".join(frames)
    deliveries = Deliveries(7)

    found: list[Any] = []
    for read in reads(data, cuts):
        for each in deliveries.split(read):
            found += [each] if isinstance(each, bytes) else each

    expected = by_pika(data)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        if isinstance(theirs, bytes):
            assert ours == theirs
            continue
        method, header, body = theirs
        assert ours[:5] == (
            7,
            method.method.delivery_tag,
            method.method.redelivered,
            method.method.exchange,
            method.method.routing_key,
        )
        assert ours.body == body
        same_properties(decode_properties(ours.properties), header.properties)


def same_properties(ours: dict[str, Any], theirs: spec.BasicProperties) -> None:
    expected = {name: value for name, value in vars(theirs).items() if value is not None}
    for each in (ours, expected):
        if "timestamp" in each:
            each["timestamp"] = seconds(each["timestamp"])
    assert ours == expected
    assert types_of(ours) == types_of(expected)


def seconds(time: datetime | int) -> int:
    return round(time.timestamp()) if isinstance(time, datetime) else time


def types_of(value: Any) -> Any:
    """The types of all that is in a value: in Python True equals 1. Pika's own integers count as such."""
    if isinstance(value, dict):
        return {name: types_of(each) for name, each in value.items()}
    if isinstance(value, list):
        return [types_of(each) for each in value]
    return int if isinstance(value, int) and not isinstance(value, bool) else type(value)


def test_a_read_hands_over_all_its_messages_at_once() -> None:
    data = b"".join(message(tag, b"x" * 10) for tag in range(1, 4))

    (found,) = Deliveries(1).split(data)

    assert [delivery.tag for delivery in found if isinstance(delivery, Delivery)] == [1, 2, 3]


def test_what_is_no_text_is_shown() -> None:
    (found,) = Deliveries(1).split(message(1, b"", routing_key=b"caf\xe9"))

    assert isinstance(found[0], Delivery)
    assert found[0].routing_key == "caf\\xe9"


def test_what_is_not_amqp_is_an_error() -> None:
    broken = bytearray(message(1, b"hello"))
    broken[-1] = 0

    with pytest.raises(ValueError, match="a frame ends with 0x0"):
        list(Deliveries(1).split(bytes(broken)))


def message(tag: int, body: bytes, routing_key: Any = "orders") -> bytes:
    deliver = spec.Basic.Deliver("ctag1.a", tag, False, "", routing_key)
    return b"".join(
        each.marshal()
        for each in [
            frame.Method(CHANNEL, deliver),
            frame.Header(CHANNEL, len(body), spec.BasicProperties()),
            *([frame.Body(CHANNEL, body)] if body else []),
        ]
    )
