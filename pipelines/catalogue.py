"""What is installed, as people read it: connectors, their triggers and actions, and the fields of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from flowspec.fields import ByteSize, Duration

if TYPE_CHECKING:
    from pydantic import BaseModel

    from flowspec.connectors import Action, Trigger

__all__ = ["FieldInfo", "describe", "fields_of", "offer_of"]


_NAMED = {"duration": TypeAdapter(Duration).json_schema(), "size": TypeAdapter(ByteSize).json_schema()}


@dataclass(frozen=True)
class FieldInfo:
    """One field of a trigger, action or account."""

    name: str
    type: str
    default: str
    """As it is written in a spec; `required` where there is none."""
    description: str


def offer_of(part: type[Trigger] | type[Action]) -> str:
    """The name of the event or action."""
    fields = part.model_fields
    return str(fields["event" if "event" in fields else "action"].default)


def describe(model: type[BaseModel]) -> str:
    """What it is, in a line."""
    return (model.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")


def fields_of(model: type[BaseModel]) -> Iterator[FieldInfo]:
    """The fields that a spec may have, the ones that only name the model left out."""
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    for name, field in schema["properties"].items():
        if "const" in field or field.get("type") == "null":
            continue
        yield FieldInfo(
            name,
            _type(field),
            "required" if name in required else _default(model, name),
            field.get("description", ""),
        )


def _default(model: type[BaseModel], name: str) -> str:
    value = model.model_fields[name].get_default(call_default_factory=True, validated_data={})
    return "" if value is None else json.dumps(value, default=str)


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        options = [option for option in schema["anyOf"] if option.get("type") != "null"]
        named = (name for name, written in _NAMED.items() if options == written["anyOf"])
        return next(named, None) or " or ".join(dict.fromkeys(map(_type, options)))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("format") in ("expression", "template"):
        return str(schema["format"])
    # Without a type it is a reference to a model.
    sort = str(schema.get("type", "object"))
    return "text" if sort == "string" else sort
