"""The models of tests, as a spec or a file beside it has them."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime, timezone
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError
from typing_extensions import Self

from flowspec.model import SpecModel

__all__ = ["Binary", "Expected", "ExpectedLetter", "Given", "SpecTest"]


def _is_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        msg = "not base64"
        raise ValueError(msg) from None
    return text


def _time(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        time = datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in ("Z", "z") else value)
    except ValueError:
        msg = f"{value[:40]!r} is not a date and time like '2026-01-31T12:00:00Z'"
        raise ValueError(msg) from None
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)


class Binary(SpecModel):
    """A payload that is no text."""

    base64: Annotated[
        str, AfterValidator(_is_base64), Field(description="The bytes, as base64.", examples=["3q2+7w=="])
    ]


class Given(SpecModel):
    """A record that the trigger hands to the flow."""

    body: Annotated[
        Any,
        Field(
            description="What the payload of the record has in it. A stream trigger of format json gets it as JSON; "
            "where it has another format, the record is given by its `payload`.",
            examples=[{"order_id": 1, "status": "paid"}],
        ),
    ] = None
    payload: Annotated[
        str | Binary | None,
        BeforeValidator(lambda value: Binary.model_validate(value) if isinstance(value, dict) else value),
        Field(
            description="In place of `body`, what the trigger receives, to be decoded by its format: a text, or an "
            "object with `base64`.",
            examples=["not JSON", {"base64": "3q2+7w=="}],
        ),
    ] = None
    headers: Annotated[
        dict[str, Any],
        Field(description="What the sender attached to the record.", examples=[{"source": "web"}]),
    ] = Field(default_factory=dict)
    key: Annotated[
        Any,
        Field(description="Message group, routing key, Kafka's key: as the trigger has it.", examples=["customer-7"]),
    ] = None
    meta: Annotated[
        dict[str, Any],
        Field(description="What the trigger's system says about the record.", examples=[{"receive_count": 2}]),
    ] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        if {"body", "payload"} <= self.model_fields_set:
            kind = "both_contents"
            raise PydanticCustomError(kind, "a record has 'body' or 'payload', not both")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"description": cls.__doc__, "anyOf": [handler(schema), {"description": "The body itself."}]}

    @property
    def content(self) -> str | bytes | None:
        """The payload; None where it is made of the body."""
        if isinstance(self.payload, Binary):
            return base64.b64decode(self.payload.base64)
        return self.payload


def _given(value: Any) -> Any:
    """A body may be written by itself."""
    is_record = isinstance(value, Given) or (isinstance(value, dict) and not {"body", "payload"}.isdisjoint(value))
    return value if is_record else {"body": value}


class ExpectedLetter(SpecModel):
    """A record that the flow gives up; what is left out is not compared."""

    step: Annotated[
        str | None,
        Field(description="Id of the step that fails, `decode` or `external_id`.", examples=["decode", "map-2"]),
    ] = None
    error: Annotated[
        str | None, Field(description="A part of the error's text.", examples=["there is no field 'total'"])
    ] = None
    external_id: Annotated[
        str | None, Field(description="External ID of the record; null where it has none.", examples=["order-1"])
    ] = None


class Expected(SpecModel):
    """What the flow is to make of the records; what is left out is not compared."""

    sink: Annotated[
        list[Any] | None,
        Field(description="The bodies that the only sink gets, in order.", examples=[[{"id": 1, "cents": 1050}]]),
    ] = None
    sinks: Annotated[
        dict[str, list[Any]] | None,
        Field(description="The bodies that sinks get, by their ids.", examples=[{"billing": [{"id": 1}]}]),
    ] = None
    dead_letters: Annotated[
        list[ExpectedLetter] | None,
        Field(
            description="The records that are given up, in the order in which they are; retries are not waited for.",
            examples=[[{"step": "decode", "error": "not json"}]],
        ),
    ] = None
    external_ids: Annotated[
        list[str] | None,
        Field(description="The External IDs of the records that get one, as they are given.", examples=[["1", "2"]]),
    ] = None
    filtered: Annotated[
        int | None, Field(ge=0, description="How many records steps drop on purpose.", examples=[1])
    ] = None
    stops: Annotated[
        str | None,
        Field(
            description="A part of the error that stops the flow. A flow that stops without being expected to fails "
            "its test.",
            examples=["there is no field 'status'"],
        ),
    ] = None
    in_any_order: Annotated[
        bool,
        Field(
            description="Whether the order of bodies, dead letters and External IDs is of no interest.",
            examples=[True],
        ),
    ] = False


class SpecTest(SpecModel):
    """A test of a flow."""

    name: Annotated[
        str, Field(min_length=1, description="What the flow is to do.", examples=["a paid order goes to billing"])
    ]
    clock: Annotated[
        datetime | None,
        BeforeValidator(_time),
        Field(
            description="The time that `now()` gives; UTC where it has no zone. By default the present time.",
            examples=["2026-01-31T12:00:00Z"],
        ),
    ] = None
    environment: Annotated[
        dict[str, str],
        Field(
            description="Environment variables of the spec, in place of what they are where the test runs.",
            examples=[{"REGION": "eu"}],
        ),
    ] = Field(default_factory=dict)
    given: Annotated[
        list[Annotated[Given, BeforeValidator(_given)]],
        Field(
            min_length=1,
            description="The records. One that is no object with `body` or `payload` is the body itself.",
            examples=[[{"order_id": 1, "status": "paid"}, {"payload": "not JSON"}]],
        ),
    ]
    joined: Annotated[
        dict[str, list[Annotated[Given, BeforeValidator(_given)]]],
        Field(
            description="The records of the other triggers of `join` steps, by the ids of the steps. They come before "
            "those that are given.",
            examples=[{"join-1": [{"id": 7, "name": "Ann"}]}],
        ),
    ] = Field(default_factory=dict)
    answers: Annotated[
        dict[str, dict[str, Any]],
        Field(
            description="What the systems answer that the steps `enrich` and `call` ask, by the id of the step and by "
            "what it asks for: the values of `by` with ', ' between them, or the URL as the spec has it. What is "
            "looked up and not here is missing.",
            examples=[{"enrich-1": {"7": {"name": "Ann"}}, "call-2": {"/scores/7": {"score": 0.9}}}],
        ),
    ] = Field(default_factory=dict)
    expect: Annotated[
        Expected,
        Field(
            description="What the flow is to make of them.",
            examples=[{"sink": [{"id": 1}], "dead_letters": [{"step": "decode"}]}],
        ),
    ] = Field(default_factory=Expected)
