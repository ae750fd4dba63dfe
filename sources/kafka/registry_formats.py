"""Payloads whose schemas are in a registry, by confluent-kafka's own serializers and deserializers.

In front of each payload is the id of its schema (Confluent's wire format): a byte that is zero, and four with the id.
Rules of data contracts (encryption, migration) are not run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from flowspec.errors import FatalError, FlowError, RecordError
from flowspec.formats.plain import decode_bytes, encode_json
from sources.kafka.registry import FormName, Registry, is_not_found, schema_of

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

    from sources.kafka.account import SchemaRegistry

__all__ = ["RegistryDecoder", "RegistryEncoder"]

_PREFIX = 5
_LONGEST = 300
"""Characters of what is said about a payload or body."""


class RegistryDecoder:
    """Decodes payloads by the schema that they name, and into another one where it is asked for."""

    def __init__(
        self, form: FormName, settings: SchemaRegistry, reader_schema: str | None = None, subject: str | None = None
    ) -> None:
        """Nothing is asked before the first payload.

        Args:
            form: The format.
            settings: Where the registry is.
            reader_schema: Schema that bodies are to have.
            subject: Subject whose newest schema it is instead.
        """
        self._form = form
        self._registry = Registry(settings)
        self._reader_schema = reader_schema
        self._subject = subject
        self._deserialize: Callable[[bytes, None], Any] | None = None

    def __call__(self, raw: bytes | str) -> Any:
        """The body of a payload.

        Raises:
            ValueError: the payload is not of the format, its schema is not in the registry, or it does not fit it.
            TransientError: the registry cannot be asked at present.
            FatalError: the registry will never answer.
        """
        payload = decode_bytes(raw)
        try:
            if self._deserialize is None:
                self._deserialize = self._deserializer()
            return self._deserialize(payload, None)
        except FlowError:
            raise
        except Exception as error:
            raise self._meaning(payload, error) from error

    def _deserializer(self) -> Callable[[bytes, None], Any]:
        try:
            return _deserializer(self._form, self._registry.api, self._schema())
        except FlowError:
            raise
        except Exception as error:
            msg = f"the reader's schema of format {self._form!r} cannot be used: {type(error).__name__}: {error}"
            raise self._registry.meaning(error) or FatalError(msg) from error

    def _schema(self) -> Schema | None:
        if self._subject is not None:
            return self._registry.newest(self._subject, self._form).schema
        return None if self._reader_schema is None else schema_of(self._reader_schema, self._form)

    def _meaning(self, payload: bytes, error: Exception) -> Exception:
        """Whose fault an error is: the payload's, or the registry's."""
        if (wrong := _frame_error(payload)) is not None:
            return ValueError(wrong)
        found = self._registry.meaning(error)
        if payload[0] or (found is not None and not is_not_found(error)):
            return found or ValueError(_reason(error))
        schema_id = int.from_bytes(payload[1:_PREFIX], "big")
        if (trouble := self._registry.trouble_with(schema_id, self._form)) is not None:
            return trouble
        return ValueError(f"schema id {schema_id}: {_reason(error)}")


class RegistryEncoder:
    """Encodes bodies by one schema of a subject, and writes its id in front."""

    def __init__(
        self, form: FormName, settings: SchemaRegistry, subject: str, schema: str | None, *, auto_register: bool
    ) -> None:
        """Nothing is asked before the first body.

        Args:
            form: The format.
            settings: Where the registry is.
            subject: The subject.
            schema: The schema; by default the newest of the subject.
            auto_register: Whether the schema is registered where the subject does not have it.
        """
        self._form = form
        self._registry = Registry(settings)
        self._subject = subject
        self._schema = schema
        self._auto_register = auto_register
        self._serialize: Callable[[Any, None], bytes | None] | None = None

    def __call__(self, body: Any) -> bytes:
        """The payload of a body.

        Raises:
            RecordError: the body does not fit the schema.
            TransientError: the registry cannot be asked at present.
            FatalError: the registry will never answer, or does not have the schema.
        """
        try:
            if self._serialize is None:
                self._serialize = self._serializer()
            payload = self._serialize(body, None)
        except FlowError:
            raise
        except Exception as error:
            raise RecordError(_reason(error)) from error
        if payload is None:
            msg = f"null has no schema, so it is no body for format {self._form!r}"
            raise RecordError(msg)
        return payload

    def _serializer(self) -> Callable[[Any, None], bytes | None]:
        make = _avro_serializer if self._form == "avro" else _json_serializer
        try:
            if self._schema is None:
                found = self._registry.newest(self._subject, self._form)
                return make(self._registry.api, found.schema, _prefix(found.schema_id))
            schema = schema_of(self._schema, self._form)
            _check(self._form, self._registry.api, schema)
            schema_id = self._registry.id_of(schema, self._subject, register=self._auto_register)
            return make(self._registry.api, schema, _prefix(schema_id))
        except FlowError:
            raise
        except Exception as error:
            msg = f"the schema of format {self._form!r} cannot be used: {type(error).__name__}: {error}"
            raise self._registry.meaning(error) or FatalError(msg) from error


def _prefix(schema_id: int | None) -> bytes:
    return b"\0" + (schema_id or 0).to_bytes(_PREFIX - 1, "big")


def _check(form: FormName, api: SchemaRegistryClient, schema: Schema) -> None:
    """Find out whether a schema is one, before each record fails."""
    from jsonschema.validators import validator_for

    if form == "avro":
        _parsed(api, schema, {})
    else:
        written = orjson.loads(schema.schema_str or "")
        validator_for(written).check_schema(written)


def _parsed(api: SchemaRegistryClient, schema: Schema, named: dict[str, Any]) -> Any:
    """An Avro schema as fastavro has it, with those that it refers to."""
    from fastavro import parse_schema

    for reference in schema.references or ():
        _parsed(api, api.get_version(reference.subject or "", reference.version or "latest").schema, named)
    return parse_schema(orjson.loads(schema.schema_str or ""), named_schemas=named)


def _deserializer(form: FormName, api: SchemaRegistryClient, schema: Schema | None) -> Callable[[bytes, None], Any]:
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.schema_registry.json_schema import JSONDeserializer

    if schema is not None:
        _check(form, api, schema)
    conf = {"subject.name.strategy": _no_subject}
    made: Callable[[bytes, None], Any]
    if form == "avro":
        made = AvroDeserializer(api, schema, conf=conf)
    else:
        made = JSONDeserializer(schema, schema_registry_client=api, conf=conf, json_decode=orjson.loads)
    return made


def _avro_serializer(api: SchemaRegistryClient, schema: Schema, prefix: bytes) -> Callable[[Any, None], bytes | None]:
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from fastavro import validate

    # A schema that is a bare name, like "string", the serializer takes as a text only.
    given = schema if schema.references else schema.schema_str
    made: Callable[[Any, None], bytes | None] = AvroSerializer(api, given, conf=_serializer_conf(prefix))
    parsed = _parsed(api, schema, {})

    def serialize(body: Any, context: None) -> bytes | None:
        # The serializer would write an int of more than 32 bits, which others cannot read, and a text as a number.
        if body is not None:
            validate(body, parsed)
        return made(body, context)

    return serialize


def _json_serializer(api: SchemaRegistryClient, schema: Schema, prefix: bytes) -> Callable[[Any, None], bytes | None]:
    from confluent_kafka.schema_registry.json_schema import JSONSerializer

    serialize = JSONSerializer(schema, api, conf=_serializer_conf(prefix), json_encode=orjson.dumps)
    # Checked is what is sent: a date is a text there.
    return lambda body, context: serialize(orjson.loads(encode_json(body)), context)


def _serializer_conf(prefix: bytes) -> dict[str, Any]:
    """A serializer that asks the registry nothing: the id is known."""
    return {
        "auto.register.schemas": False,
        "subject.name.strategy": _no_subject,
        "schema.id.serializer": lambda payload, *_: prefix + payload,
    }


def _no_subject(*_: Any) -> None:
    """What each payload's schema is, its id says."""


def _frame_error(payload: bytes) -> str | None:
    """What is wrong with the bytes in front."""
    if len(payload) <= _PREFIX:
        return f"{len(payload)} bytes are too few for a magic byte, a schema id and a value"
    # With 1 a GUID follows instead of an id.
    if payload[0] > 1:
        return f"its magic byte is {payload[0]:#04x}, not 0x00, so no schema id follows; was it written without schema?"
    return None


def _reason(error: Exception) -> str:
    """What an error says about a value; where there is a path, with it."""
    by_schema: Any = error.__context__
    if hasattr(by_schema, "json_path"):
        return f"{by_schema.json_path}: {by_schema.message}"[:_LONGEST]
    if isinstance(error, EOFError):
        return "it ends in the middle of a value"
    by_avro: Any = getattr(error, "errors", None)
    if isinstance(by_avro, tuple | list) and by_avro:
        return _avro_reason(by_avro)[:_LONGEST]
    return (str(error) or type(error).__name__)[:_LONGEST]


def _avro_reason(errors: Sequence[Any]) -> str:
    """What fastavro says about the first place that is wrong; it says so for each type that would do there."""
    first = errors[0]
    expected = " or ".join(dict.fromkeys(_type_name(each.schema) for each in errors if each.field == first.field))
    return f"{first.field.strip() or 'the body'} is {first.datum!r}, not {expected}"


def _type_name(schema: Any) -> str:
    if isinstance(schema, list):
        return " or ".join(map(_type_name, schema))
    if isinstance(schema, dict):
        symbols = schema.get("symbols")
        return f"one of {', '.join(symbols)}" if symbols else str(schema.get("logicalType") or schema.get("type"))
    return str(schema)
