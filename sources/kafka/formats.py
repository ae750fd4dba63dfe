"""The formats of Kafka: those that every connector has, and those whose schemas are in a registry."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from flowspec import formats
from flowspec.errors import FatalError
from flowspec.formats import CsvFormat, Decoder, Encoder, FormatName, FormatWithOptions, TextFormat, one_of
from flowspec.model import SpecModel
from sources.kafka.account import KafkaAccount, SchemaRegistry

__all__ = [
    "AvroReadFormat",
    "AvroWriteFormat",
    "JsonSchemaReadFormat",
    "JsonSchemaWriteFormat",
    "ReadFormat",
    "ReadOptions",
    "WriteFormat",
    "WriteOptions",
    "decoder",
    "encoder",
    "needs_topic",
]


def _is_json(schema: dict[str, Any] | str) -> dict[str, Any] | str:
    if isinstance(schema, str):
        try:
            json.loads(schema)
        except ValueError as error:
            msg = f"a schema that is written as a text must be JSON: {error}"
            raise ValueError(msg) from error
    return schema


SchemaText: TypeAlias = Annotated["dict[str, Any] | str", AfterValidator(_is_json)]
"""A schema: an object, or a text that is JSON."""


class ReadOptions(SpecModel):
    """How payloads with the id of a schema are decoded; their own schemas come from the registry."""

    reader_schema: Annotated[
        SchemaText | None,
        Field(
            description="Schema that the body is to have, an object or JSON as a text; by default the one it was "
            "written with.",
            examples=[{"type": "record", "name": "Order", "fields": [{"name": "order_id", "type": "string"}]}],
        ),
    ] = None
    subject: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Subject whose newest schema, when the flow starts, is the one that the body is to have.",
            examples=["orders-value"],
        ),
    ] = None

    @model_validator(mode="after")
    def _one_reader_schema(self) -> ReadOptions:
        if self.reader_schema is not None and self.subject is not None:
            msg = "reader_schema and subject both say what schema the body is to have; give one"
            raise ValueError(msg)
        return self

    @property
    def schema_text(self) -> str | None:
        """The reader's schema as JSON."""
        return _text(self.reader_schema)


class WriteOptions(SpecModel):
    """How bodies are encoded by a schema, whose id is written in front of each payload."""

    subject: Annotated[
        str | None,
        Field(
            min_length=1,
            description="Subject of the schema in the registry; by default the topic with `-value` behind it.",
            examples=["orders-value"],
        ),
    ] = None
    written: Annotated[
        SchemaText | None,
        Field(
            alias="schema",
            description="The schema, an object or JSON as a text; by default the newest of the subject when the flow "
            "starts.",
            examples=[{"type": "record", "name": "Order", "fields": [{"name": "order_id", "type": "string"}]}],
        ),
    ] = None
    auto_register: Annotated[
        bool,
        Field(
            description="Whether `schema` is registered where the subject does not have it; otherwise the flow stops.",
            examples=[True],
        ),
    ] = False

    @model_validator(mode="after")
    def _something_to_register(self) -> WriteOptions:
        if self.auto_register and self.written is None:
            msg = "auto_register needs a schema to register"
            raise ValueError(msg)
        return self

    @property
    def schema_text(self) -> str | None:
        """The schema as JSON."""
        return _text(self.written)


class AvroReadFormat(FormatWithOptions):
    """Avro with the id of its schema in front."""

    avro: Annotated[
        ReadOptions, Field(description="Options of the format avro.", examples=[{"subject": "orders-value"}])
    ]


class JsonSchemaReadFormat(FormatWithOptions):
    """JSON with the id of its schema in front, which it is checked by."""

    options: Annotated[
        ReadOptions,
        Field(
            alias="json-schema",
            description="Options of the format json-schema.",
            examples=[{"subject": "orders-value"}],
        ),
    ]


class AvroWriteFormat(FormatWithOptions):
    """Avro with the id of its schema in front."""

    avro: Annotated[
        WriteOptions, Field(description="Options of the format avro.", examples=[{"subject": "orders-value"}])
    ]


class JsonSchemaWriteFormat(FormatWithOptions):
    """JSON with the id of its schema in front, which it is checked by."""

    options: Annotated[
        WriteOptions,
        Field(
            alias="json-schema",
            description="Options of the format json-schema.",
            examples=[{"subject": "orders-value"}],
        ),
    ]


RegistryFormatName: TypeAlias = Literal["avro", "json-schema"]
KafkaFormatName: TypeAlias = Literal["json", "text", "bytes", "csv", "avro", "json-schema"]

ReadFormat: TypeAlias = Annotated[
    KafkaFormatName | TextFormat | CsvFormat | AvroReadFormat | JsonSchemaReadFormat,
    one_of(TextFormat, CsvFormat, AvroReadFormat, JsonSchemaReadFormat),
]
"""The `format` of a trigger."""
WriteFormat: TypeAlias = Annotated[
    KafkaFormatName | TextFormat | CsvFormat | AvroWriteFormat | JsonSchemaWriteFormat,
    one_of(TextFormat, CsvFormat, AvroWriteFormat, JsonSchemaWriteFormat),
]
"""The `format` of a sink."""


def decoder(
    form: FormatName | RegistryFormatName | TextFormat | CsvFormat | AvroReadFormat | JsonSchemaReadFormat,
    account: KafkaAccount | str,
) -> Decoder:
    """The function that decodes a payload. What needs a registry asks it with the first payload of each schema.

    It raises `ValueError` for a payload that is not of that format, `TransientError` while the registry cannot be
    reached, and `FatalError` where trying again cannot help.

    Raises:
        FatalError: the account has no schema registry, and the format needs one.
        MissingDependencyError: the format needs packages that are not installed.
    """
    if isinstance(form, AvroReadFormat):
        return _reading("avro", form.avro, account)
    if isinstance(form, JsonSchemaReadFormat):
        return _reading("json-schema", form.options, account)
    if form == "avro":
        return _reading("avro", ReadOptions(), account)
    if form == "json-schema":
        return _reading("json-schema", ReadOptions(), account)
    return formats.decoder(form)


def encoder(
    form: FormatName | RegistryFormatName | TextFormat | CsvFormat | AvroWriteFormat | JsonSchemaWriteFormat,
    account: KafkaAccount | str,
    topic: str,
) -> Encoder:
    """The function that encodes the bodies of records that go to `topic`.

    It raises `RecordError`, `TypeError` or `ValueError` for a body that cannot be encoded, `TransientError` while the
    registry cannot be reached, and `FatalError` where trying again cannot help. The registry is asked once.

    Raises:
        FatalError: the account has no schema registry, and the format needs one.
        MissingDependencyError: the format needs packages that are not installed.
    """
    if isinstance(form, AvroWriteFormat):
        return _writing("avro", form.avro, account, topic)
    if isinstance(form, JsonSchemaWriteFormat):
        return _writing("json-schema", form.options, account, topic)
    if form == "avro":
        return _writing("avro", WriteOptions(), account, topic)
    if form == "json-schema":
        return _writing("json-schema", WriteOptions(), account, topic)
    return formats.encoder(form)


def needs_topic(form: str | FormatWithOptions) -> bool:
    """Whether an encoder takes its subject from the topic, which then has to be the same for all records."""
    if isinstance(form, AvroWriteFormat):
        return form.avro.subject is None
    if isinstance(form, JsonSchemaWriteFormat):
        return form.options.subject is None
    return form in ("avro", "json-schema")


def _reading(form: RegistryFormatName, options: ReadOptions, account: KafkaAccount | str) -> Decoder:
    from sources.kafka.registry_formats import RegistryDecoder

    return RegistryDecoder(form, _registry(form, account), options.schema_text, options.subject)


def _writing(form: RegistryFormatName, options: WriteOptions, account: KafkaAccount | str, topic: str) -> Encoder:
    from sources.kafka.registry_formats import RegistryEncoder

    subject = options.subject or f"{topic}-value"
    return RegistryEncoder(
        form, _registry(form, account), subject, options.schema_text, auto_register=options.auto_register
    )


def _registry(form: str, account: KafkaAccount | str) -> SchemaRegistry:
    registry = KafkaAccount.of(account).schema_registry
    if registry is None:
        msg = f"format {form!r} needs schema_registry in the Kafka account, with the url of the registry"
        raise FatalError(msg)
    return registry


def _text(schema: dict[str, Any] | str | None) -> str | None:
    return json.dumps(schema) if isinstance(schema, dict) else schema
