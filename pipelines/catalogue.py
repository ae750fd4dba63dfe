"""What is installed, as people read it: connectors, their triggers and actions, and the fields of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from pydantic import TypeAdapter

from flowspec.fields import ByteSize, Duration

if TYPE_CHECKING:
    import pydantic.fields
    from pydantic import BaseModel

    from flowspec.connectors import Action, Trigger

__all__ = ["FieldInfo", "describe", "fields_of", "models_in", "offer_of"]


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


def models_in(model: type[BaseModel], name: str) -> Iterator[type[BaseModel]]:
    """The models that the value of a field may be, or be made of."""
    yield from _models_of(_field(model, name).annotation)


def _models_of(annotation: Any) -> Iterator[type[BaseModel]]:
    from pydantic import BaseModel

    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_of(part)


def fields_of(model: type[BaseModel]) -> Iterator[FieldInfo]:
    """The fields that a spec may have, the ones that only name the model left out."""
    schema = model.model_json_schema()
    if "anyOf" in schema:
        # It may also be written as the value of its main field.
        known = [
            schema["$defs"][each["$ref"].rpartition("/")[2]] if "$ref" in each else each for each in schema["anyOf"]
        ]
        schema = next(each for each in known if "properties" in each)
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
    value = _field(model, name).get_default(call_default_factory=True, validated_data={})
    return "" if value is None else json.dumps(value, default=_as_spec)


def _field(model: type[BaseModel], name: str) -> pydantic.fields.FieldInfo:
    """The field that a spec calls `name`."""
    return next(field for known, field in model.model_fields.items() if name == (field.alias or known))


def _as_spec(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


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
