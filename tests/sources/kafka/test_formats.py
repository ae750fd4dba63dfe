"""The formats of Kafka, with a real schema registry and what confluent-kafka's own classes write and read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import date, datetime, time, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID

import orjson
import pytest
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from pydantic import TypeAdapter, ValidationError

from flowspec import formats
from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.expressions import Expression
from flowspec.formats import Csv, CsvFormat, encode_all
from flowspec.records import Record
from sources.kafka.account import KafkaAccount
from sources.kafka.formats import ReadFormat, WriteFormat, decoder, encoder, needs_topic
from tests.secrets import leaks_in, secret
from tests.servers.schema_registry import RegistryServer
from tests.servers.tcp_proxy import TcpProxy

PASSWORD = secret("Registry")
CUSTOMER = {
    "type": "record",
    "name": "Customer",
    "fields": [{"name": "email", "type": "string"}, {"name": "age", "type": ["null", "int"], "default": None}],
}
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "total", "type": "double"},
        {"name": "status", "type": {"type": "enum", "name": "Status", "symbols": ["open", "paid"]}},
        {"name": "customer", "type": CUSTOMER},
    ],
}
BODY = {"id": "A-1", "total": 12.5, "status": "paid", "customer": {"email": "a@example.com", "age": None}}
ORDER_JSON = {
    "type": "object",
    "title": "Order",
    "required": ["id", "total"],
    "properties": {
        "id": {"type": "string"},
        "total": {"type": "number"},
        "customer": {"type": "object", "properties": {"age": {"type": ["integer", "null"]}}},
        "lines": {"type": "array", "items": {"type": "object", "required": ["sku"]}},
    },
}

READ: TypeAdapter[Any] = TypeAdapter(ReadFormat)
WRITE: TypeAdapter[Any] = TypeAdapter(WriteFormat)


def account(registry: RegistryServer, port: int | None = None, **login: Any) -> KafkaAccount:
    url = registry.url if port is None else registry.url_at(port)
    given: Any = {"url": url, **login}
    return KafkaAccount(bootstrap_servers="127.0.0.1:9092", schema_registry=given)


def reading(registry: RegistryServer, written: Any, port: int | None = None) -> Callable[[bytes | str], Any]:
    return decoder(READ.validate_python(written), account(registry, port))


def writing(
    registry: RegistryServer, written: Any, topic: str = "orders", port: int | None = None
) -> Callable[[Any], bytes]:
    return encoder(WRITE.validate_python(written), account(registry, port), topic)


def context(topic: str) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE)


def avro_of(registry: RegistryServer, schema: Any, body: Any, topic: str | None = None) -> bytes:
    """What confluent-kafka's own serializer makes of a body."""
    conf = {"subject.name.strategy.type": "TOPIC"}
    serialize = AvroSerializer(registry.client, json.dumps(schema), conf=conf)
    payload: bytes | None = serialize(body, context(topic or registry.subject()))
    assert payload is not None
    return payload


def json_of(registry: RegistryServer, schema: Any, body: Any) -> bytes:
    conf = {"subject.name.strategy.type": "TOPIC"}
    serialize = JSONSerializer(json.dumps(schema), registry.client, conf=conf)
    payload: bytes | None = serialize(body, context(registry.subject()))
    assert payload is not None
    return payload


# Which formats there are.


@pytest.mark.parametrize("name", ["json", "text", "bytes", "csv"])
def test_the_common_formats_need_no_registry(name: Any) -> None:
    bare = KafkaAccount(bootstrap_servers="127.0.0.1:9092")
    body: Any = {"json": {"a": 1}, "text": "a", "bytes": b"a", "csv": ["a"]}[name]
    payload = encoder(name, bare, "orders")(body)
    assert decoder(name, bare)(payload) == body


def test_common_formats_have_their_options() -> None:
    bare = KafkaAccount(bootstrap_servers="127.0.0.1:9092")
    form = READ.validate_python({"csv": {"columns": ["id"]}})
    assert form == CsvFormat(csv=Csv(columns=["id"]))
    assert decoder(form, bare)(b"A-1") == {"id": "A-1"}


def test_json_is_as_fast_as_elsewhere() -> None:
    bare = KafkaAccount(bootstrap_servers="127.0.0.1:9092")
    assert decoder("json", bare) is orjson.loads
    assert encoder("json", bare, "orders") is formats.encoder("json")


@pytest.mark.parametrize("name", ["avro", "json-schema"])
def test_without_a_registry_in_the_account_the_flow_does_not_start(name: Any) -> None:
    bare = KafkaAccount(bootstrap_servers="127.0.0.1:9092")
    message = f"format '{name}' needs schema_registry in the Kafka account, with the url of the registry"
    with pytest.raises(FatalError, match=message):
        decoder(name, bare)
    with pytest.raises(FatalError, match=message):
        encoder(name, bare, "orders")


@pytest.mark.parametrize(
    ("adapter", "written", "message"),
    [
        (READ, {"avor": {}}, "no format with options is called 'avor'; did you mean 'avro'?"),
        (READ, {"avro": {"schema": {}}}, "Extra inputs are not permitted"),
        (READ, {"avro": {"reader_schema": "{"}}, "a schema that is written as a text must be JSON"),
        (READ, {"avro": {"reader_schema": {}, "subject": "a"}}, "reader_schema and subject both say"),
        (WRITE, {"avro": {"reader_schema": {}}}, "Extra inputs are not permitted"),
        (WRITE, {"json-schema": {"auto_register": True}}, "auto_register needs a schema to register"),
        (WRITE, "arvo", "Input should be 'json', 'text', 'bytes', 'csv', 'avro' or 'json-schema'"),
    ],
)
def test_wrong_options_are_told(adapter: TypeAdapter[Any], written: Any, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter.validate_python(written)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "written",
    [
        {"avro": {}},
        {"avro": {"subject": "orders-value"}},
        {"json-schema": {"schema": {"type": "object"}, "auto_register": True}},
        {"json-schema": {"schema": '{"type": "object"}'}},
    ],
)
def test_formats_are_exported_as_they_were_written(written: Any) -> None:
    form = WRITE.validate_python(written)
    assert WRITE.dump_python(form, mode="json", by_alias=True, exclude_defaults=True) == written
    assert formats.format_name(form) == next(iter(written))


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ("json", False),
        ("avro", True),
        ({"csv": {}}, False),
        ({"avro": {}}, True),
        ({"json-schema": {}}, True),
        ({"avro": {"subject": "a"}}, False),
        ({"json-schema": {"subject": "a"}}, False),
    ],
)
def test_what_takes_its_subject_from_the_topic(written: Any, answer: bool) -> None:
    assert needs_topic(WRITE.validate_python(written)) is answer


# Avro.


def test_avro_of_confluents_serializer_is_decoded(schema_registry: RegistryServer) -> None:
    assert reading(schema_registry, "avro")(avro_of(schema_registry, ORDER, BODY)) == BODY


def test_confluents_deserializer_reads_our_avro(schema_registry: RegistryServer) -> None:
    topic = schema_registry.subject()
    schema_registry.register(f"{topic}-value", ORDER)

    payload = writing(schema_registry, "avro", topic)(BODY)

    assert payload == avro_of(schema_registry, ORDER, BODY, topic)
    assert AvroDeserializer(schema_registry.client)(payload, context(topic)) == BODY


def test_payloads_of_several_schemas_are_decoded_each_by_its_own(schema_registry: RegistryServer) -> None:
    decode = reading(schema_registry, "avro")
    bare = {**ORDER, "fields": ORDER["fields"][:1]}
    payloads = [avro_of(schema_registry, ORDER, BODY), avro_of(schema_registry, bare, {"id": "B-2"})]
    assert [decode(payload) for payload in payloads * 2] == [BODY, {"id": "B-2"}] * 2


RENAMED = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "order_id", "aliases": ["id"], "type": "string"},
        {"name": "currency", "type": "string", "default": "EUR"},
    ],
}


def test_a_readers_schema_is_what_bodies_have(schema_registry: RegistryServer) -> None:
    payload = avro_of(schema_registry, ORDER, BODY)
    wanted = {"order_id": "A-1", "currency": "EUR"}

    assert reading(schema_registry, {"avro": {"reader_schema": RENAMED}})(payload) == wanted
    assert reading(schema_registry, {"avro": {"reader_schema": json.dumps(RENAMED)}})(payload) == wanted
    subject = schema_registry.subject()
    schema_registry.register(subject, RENAMED)
    assert reading(schema_registry, {"avro": {"subject": subject}})(payload) == wanted


LOGICAL = {
    "type": "record",
    "name": "Typed",
    "fields": [
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "time", "type": {"type": "long", "logicalType": "time-micros"}},
        {"name": "uuid", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "hash", "type": {"type": "fixed", "name": "Hash", "size": 2}},
        {"name": "tags", "type": {"type": "map", "values": ["null", "long", "string"]}},
    ],
}
TYPED = {
    "price": Decimal("12.50"),
    "at": datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone.utc),
    "day": date(2026, 1, 2),
    "time": time(3, 4, 5, 678901),
    "uuid": UUID("6a2f41a3-c54c-fce8-32d2-0324e1c32e22"),
    "hash": b"\xff\x00",
    "tags": {"a": None, "b": 2**40, "c": "x"},
}


def test_python_values_of_avro_go_through_expressions_to_json_and_back_to_avro(schema_registry: RegistryServer) -> None:
    body = reading(schema_registry, "avro")(avro_of(schema_registry, LOGICAL, TYPED))
    assert body == TYPED

    record = Record(b"", body)
    source = "{'gross': price * 2, 'at': at.isoformat(), 'day': day, 'hash': base64(hash), 'uuid': uuid, 'late': time}"
    mapped = Expression(source).value(record)
    assert orjson.loads(formats.encoder("json")(mapped)) == {
        "gross": "25.00",
        "at": "2026-01-02T03:04:05.678901+00:00",
        "day": "2026-01-02",
        "hash": "/wA=",
        "uuid": "6a2f41a3-c54c-fce8-32d2-0324e1c32e22",
        "late": "03:04:05.678901",
    }
    encode = writing(
        schema_registry,
        {"avro": {"subject": schema_registry.subject(), "schema": LOGICAL, "auto_register": True}},
    )
    assert reading(schema_registry, "avro")(encode(body)) == TYPED


@pytest.mark.parametrize(
    ("schema", "body"),
    [
        ("string", "a"),
        ("bytes", b"abc"),
        ("long", 5),
        (["null", "string"], "a"),
        ({"type": "array", "items": "int"}, [1]),
    ],
)
def test_avro_need_not_be_a_record(schema_registry: RegistryServer, schema: Any, body: Any) -> None:
    subject = schema_registry.subject()
    schema_registry.register(subject, schema)
    payload = writing(schema_registry, {"avro": {"subject": subject}})(body)
    assert reading(schema_registry, "avro")(payload) == body


def test_a_schema_may_refer_to_another_subject(schema_registry: RegistryServer) -> None:
    from confluent_kafka.schema_registry import Schema, SchemaReference

    subject, part = schema_registry.subject(), schema_registry.subject()
    schema_registry.register(part, CUSTOMER)
    fields = [{"name": "id", "type": "string"}, {"name": "customer", "type": "Customer"}]
    whole = json.dumps({"type": "record", "name": "Order", "fields": fields})
    references = [SchemaReference("Customer", part, 1)]
    schema_registry.client.register_schema(subject, Schema(whole, "AVRO", references))
    body = {"id": "A-1", "customer": {"email": "a@example.com", "age": 7}}

    payload = writing(schema_registry, {"avro": {"subject": subject}})(body)
    assert reading(schema_registry, "avro")(payload) == body


@pytest.mark.parametrize("name", ["avro", "json-schema"])
@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "0 bytes are too few for a magic byte, a schema id and a value"),
        (b"\x00\x00\x00\x00\x01", "5 bytes are too few for a magic byte, a schema id and a value"),
        (
            b'{"id": "A-1"}',
            "its magic byte is 0x7b, not 0x00, so no schema id follows; was it written without schema?",
        ),
        (b"\x00\x7f\xff\xff\xffabc", "schema id 2147483647 is not in the registry http://127.0.0.1:"),
    ],
)
def test_what_has_no_schema_is_a_bad_payload(
    schema_registry: RegistryServer, name: str, raw: bytes, message: str
) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        reading(schema_registry, name)(raw)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("cut", [6, 9, -1])
def test_avro_that_ends_too_early_is_a_bad_payload(schema_registry: RegistryServer, cut: int) -> None:
    payload = avro_of(schema_registry, ORDER, BODY)
    schema_id = int.from_bytes(payload[1:5], "big")
    with pytest.raises(ValueError, match=rf"schema id {schema_id}: .+"):
        reading(schema_registry, "avro")(payload[:cut])


def test_random_bytes_behind_a_schema_id_are_a_bad_payload(schema_registry: RegistryServer) -> None:
    start = avro_of(schema_registry, ORDER, BODY)[:5]
    decode = reading(schema_registry, "avro")
    for rest in (b"\xff" * 30, b"\x80" * 30, b"\x02\xff\x00\x00", b"\x00" * 9 + b"\x7f", bytes(range(200))):
        with pytest.raises(ValueError, match=r"schema id \d+: .+"):
            decode(start + rest)


def test_a_body_that_does_not_fit_is_a_failure_that_names_the_field(schema_registry: RegistryServer) -> None:
    subject = schema_registry.subject()
    schema_registry.register(subject, ORDER)
    encode = writing(schema_registry, {"avro": {"subject": subject}})
    wrong: list[tuple[Any, str]] = [
        ({**BODY, "total": "12"}, "Order.total is '12', not double"),
        ({"id": "A-1"}, "Order.total is None, not double"),
        ({**BODY, "status": "lost"}, "Order.status is 'lost', not one of open, paid"),
        ({**BODY, "customer": {"email": 5}}, "Order.customer.Customer.email is 5, not string"),
        (
            {**BODY, "customer": {"email": "a", "age": 2**31}},
            "Order.customer.Customer.age is 2147483648, not null or int",
        ),
        ([1], "the body is [1], not record"),
        (None, "null has no schema, so it is no body for format 'avro'"),
    ]
    for body, message in wrong:
        records = [Record(b"", BODY), Record(b"", body), Record(b"", BODY)]
        good, _, (failure,) = encode_all(records, encode)
        assert list(good) == [records[0], records[2]]
        assert isinstance(failure.error, RecordError)
        assert str(failure.error) == f"body cannot be encoded: {message}"


def test_a_field_that_the_schema_does_not_have_is_left_out(schema_registry: RegistryServer) -> None:
    subject = schema_registry.subject()
    schema_registry.register(subject, ORDER)
    payload = writing(schema_registry, {"avro": {"subject": subject}})({**BODY, "internal": 1})
    assert reading(schema_registry, "avro")(payload) == BODY


@pytest.mark.parametrize(("name", "kind"), [("avro", "JSON"), ("json-schema", "AVRO")])
def test_a_payload_of_the_other_format_is_a_bad_one(schema_registry: RegistryServer, name: str, kind: str) -> None:
    body = {"id": "A-1", "total": 1.0}
    other = json_of(schema_registry, ORDER_JSON, body) if name == "avro" else avro_of(schema_registry, ORDER, BODY)
    with pytest.raises(ValueError, match=rf"schema id \d+ is one of type {kind}, which format '{name}' is not for"):
        reading(schema_registry, name)(other)


# Subjects.


def test_the_subject_is_that_of_the_topic(schema_registry: RegistryServer) -> None:
    topic = schema_registry.subject()
    writing(schema_registry, {"avro": {"schema": ORDER, "auto_register": True}}, topic)(BODY)
    assert schema_registry.registered(f"{topic}-value") == [1]


def test_the_newest_schema_of_a_subject_is_used(schema_registry: RegistryServer) -> None:
    subject = schema_registry.subject()
    schema_registry.register(subject, {**ORDER, "fields": ORDER["fields"][:1]})
    newest = schema_registry.register(subject, ORDER)
    payload = writing(schema_registry, {"avro": {"subject": subject}})(BODY)
    assert int.from_bytes(payload[1:5], "big") == newest


def test_a_schema_is_not_registered_unless_it_is_asked_for(schema_registry: RegistryServer) -> None:
    subject = schema_registry.subject()
    schema_registry.register(subject, {**ORDER, "fields": ORDER["fields"][:1]})
    with pytest.raises(FatalError, match=f"the subject '{subject}' does not have this schema in the registry http://"):
        writing(schema_registry, {"avro": {"subject": subject, "schema": ORDER}})(BODY)
    assert schema_registry.registered(subject) == [1]


def test_a_subject_that_there_is_not_stops_the_flow(schema_registry: RegistryServer) -> None:
    with pytest.raises(FatalError, match="the subject 'nowhere-value' has no schema in the registry http://"):
        writing(schema_registry, "avro", "nowhere")(BODY)
    with pytest.raises(FatalError, match="the subject 'nowhere' has no schema in the registry http://"):
        reading(schema_registry, {"avro": {"subject": "nowhere"}})(avro_of(schema_registry, ORDER, BODY))


def test_a_schema_of_another_type_stops_the_flow(schema_registry: RegistryServer) -> None:
    subject = schema_registry.subject()
    schema_registry.register(subject, ORDER_JSON, "JSON")
    with pytest.raises(FatalError, match=f"subject '{subject}' is one of type JSON, which format 'avro' is not for"):
        writing(schema_registry, {"avro": {"subject": subject}})(BODY)


def test_a_schema_that_is_none_stops_the_flow(schema_registry: RegistryServer) -> None:
    schema = {"type": "record", "name": "Order", "fields": [{"name": "id", "type": "strnig"}]}
    written: Any = {"subject": schema_registry.subject(), "schema": schema}
    with pytest.raises(FatalError, match=r"the schema of format 'avro' cannot be used: UnknownType: strnig"):
        writing(schema_registry, {"avro": written})(BODY)
    with pytest.raises(FatalError, match=r"the reader's schema of format 'avro' cannot be used: UnknownType: strnig"):
        reading(schema_registry, {"avro": {"reader_schema": written["schema"]}})(b"\x00" * 9)


def test_a_json_schema_that_is_none_stops_the_flow(schema_registry: RegistryServer) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "strnig"}}}
    with pytest.raises(FatalError, match="the schema of format 'json-schema' cannot be used: SchemaError: 'strnig'"):
        writing(schema_registry, {"json-schema": {"schema": schema}})({"id": "A-1"})
    with pytest.raises(FatalError, match="the reader's schema of format 'json-schema' cannot be used: SchemaError"):
        reading(schema_registry, {"json-schema": {"reader_schema": schema}})(b"\x00" * 9)


# JSON Schema.


def test_json_of_confluents_serializer_is_decoded(schema_registry: RegistryServer) -> None:
    body = {"id": "A-1", "total": 5}
    assert reading(schema_registry, "json-schema")(json_of(schema_registry, ORDER_JSON, body)) == body


def test_confluents_deserializer_reads_our_json(schema_registry: RegistryServer) -> None:
    topic = schema_registry.subject()
    encode = writing(schema_registry, {"json-schema": {"schema": ORDER_JSON, "auto_register": True}}, topic)
    deserialize = JSONDeserializer(json.dumps(ORDER_JSON), schema_registry_client=schema_registry.client)
    body: dict[str, Any] = {"id": "A-1", "total": 5, "at": date(2026, 1, 2)}
    read: Any = deserialize(encode(body), context(topic))
    assert read == {**body, "at": "2026-01-02"}


def test_a_date_is_checked_as_the_text_that_is_sent(schema_registry: RegistryServer) -> None:
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    written = {"subject": schema_registry.subject(), "schema": schema, "auto_register": True}
    encode = writing(schema_registry, {"json-schema": written})
    assert encode({"at": date(2026, 1, 2)})[5:] == b'{"at":"2026-01-02"}'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"id": 5, "total": 1}, "$.id: 5 is not of type 'string'"),
        ({"id": "A-1"}, "$: 'total' is a required property"),
        ({"id": "A-1", "total": 1, "customer": {"age": "x"}}, "$.customer.age: 'x' is not of type 'integer', 'null'"),
        ({"id": "A-1", "total": 1, "lines": [{"sku": 1}, {}]}, "$.lines[1]: 'sku' is a required property"),
    ],
)
def test_json_that_does_not_fit_its_schema_is_told_with_its_path(
    schema_registry: RegistryServer, body: Any, message: str
) -> None:
    subject = schema_registry.subject()
    schema_id = schema_registry.register(subject, ORDER_JSON, "JSON")
    raw = b"\x00" + schema_id.to_bytes(4, "big") + orjson.dumps(body)
    with pytest.raises(ValueError, match=r".+") as bad:
        reading(schema_registry, "json-schema")(raw)
    assert str(bad.value) == f"schema id {schema_id}: {message}"

    with pytest.raises(RecordError) as refused:
        writing(schema_registry, {"json-schema": {"subject": subject}})(body)
    assert str(refused.value) == message


def test_what_is_no_json_behind_a_schema_id_is_a_bad_payload(schema_registry: RegistryServer) -> None:
    raw = json_of(schema_registry, ORDER_JSON, {"id": "A-1", "total": 5})
    with pytest.raises(ValueError, match=r"schema id \d+: unexpected end of data"):
        reading(schema_registry, "json-schema")(raw[:-1])


def test_json_is_checked_by_a_readers_schema(schema_registry: RegistryServer) -> None:
    raw = json_of(schema_registry, {"type": "object", "properties": {"id": {"type": "string"}}}, {"id": "A-1"})
    with pytest.raises(ValueError, match="'total' is a required property"):
        reading(schema_registry, {"json-schema": {"reader_schema": ORDER_JSON}})(raw)


# The registry itself.


def test_a_registry_that_is_down_is_no_fault_of_the_record(schema_registry: RegistryServer) -> None:
    payload = avro_of(schema_registry, ORDER, BODY)
    subject = schema_registry.subject()
    schema_registry.register(subject, ORDER)
    with TcpProxy("127.0.0.1", schema_registry.port) as proxy:
        decode = reading(schema_registry, "avro", proxy.port)
        encode = writing(schema_registry, {"avro": {"subject": subject}}, port=proxy.port)
        proxy.down()
        for _ in range(2):
            with pytest.raises(TransientError, match=f"registry http://127.0.0.1:{proxy.port}/.* cannot be reached: "):
                decode(payload)
            with pytest.raises(TransientError, match="cannot be reached"):
                encode_all([Record(b"", BODY)], encode)
        proxy.up()
        assert decode(payload) == BODY
        assert encode(BODY)[5:] == payload[5:]
        # What is known needs no registry.
        proxy.down()
        assert decode(payload) == BODY
        assert encode(BODY)[5:] == payload[5:]
        with pytest.raises(TransientError, match="cannot be reached"):
            decode(b"\x00\x7f\xff\xff\xffabc")


def test_a_registry_that_does_not_answer_in_time_is_down(
    schema_registry: RegistryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sources.kafka.registry._TIMEOUT", 0.3)
    payload = avro_of(schema_registry, ORDER, BODY)
    with TcpProxy("127.0.0.1", schema_registry.port) as proxy:
        decode = reading(schema_registry, "avro", proxy.port)
        proxy.stall()
        with pytest.raises(TransientError, match=r"cannot be reached: .*timed out"):
            decode(payload)
        proxy.resume()


def test_a_server_that_is_no_registry_stops_the_flow(schema_registry: RegistryServer) -> None:
    wrong: Any = {"url": schema_registry.url.removesuffix("/v7") + "/none"}
    decode = decoder("avro", KafkaAccount(bootstrap_servers="127.0.0.1:9092", schema_registry=wrong))
    with pytest.raises(FatalError, match="check the path in the url of schema_registry"):
        decode(avro_of(schema_registry, ORDER, BODY))


class Answers(BaseHTTPRequestHandler):
    """Gives every request the same answer."""

    status = 200
    body = b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


@pytest.mark.parametrize(
    ("status", "body", "error", "message"),
    [
        (401, b'{"error_code":401,"message":"Unauthorized"}', FatalError, "check username and password"),
        (403, b'{"error_code":40301,"message":"Forbidden"}', FatalError, "check username and password"),
        (404, b"<html>not here</html>", FatalError, "check the path in the url"),
        (429, b'{"error_code":42901,"message":"Too many"}', TransientError, "Too many"),
        (503, b"<html>try later</html>", TransientError, "try later"),
        (500, b'{"error_code":50001,"message":"No store"}', TransientError, "No store"),
        (200, b"<html>log in first</html>", TransientError, "gives an answer that is none"),
    ],
)
def test_what_an_answer_means(status: int, body: bytes, error: type[Exception], message: str) -> None:
    # A registry that is asked in good order gives none of these.
    handler = type("Given", (Answers,), {"status": status, "body": body})
    form: Any = "avro"
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        settings: Any = {"url": f"http://127.0.0.1:{server.server_port}"}
        decode = decoder(form, KafkaAccount(bootstrap_servers="127.0.0.1:9092", schema_registry=settings))
        try:
            with pytest.raises(error, match=message):
                decode(b"\x00\x00\x00\x00\x01abc")
        finally:
            server.shutdown()
            thread.join()


def test_no_message_has_the_password(schema_registry: RegistryServer) -> None:
    form: Any = "avro"
    url = f"http://user:{PASSWORD}@127.0.0.1:{schema_registry.port}/nowhere"
    given: Any = {"url": url}
    decode = decoder(form, KafkaAccount(bootstrap_servers="127.0.0.1:9092", schema_registry=given))
    with pytest.raises(FatalError) as caught:
        decode(avro_of(schema_registry, ORDER, BODY))
    assert leaks_in(str(caught.value)) == []
