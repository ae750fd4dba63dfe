"""The JSON Schema of the whole language, made of everything that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from flowspec import registry
from flowspec.connectors import Action, Trigger
from flowspec.lookups import Call, Lookup
from flowspec.registry import RegistryError
from flowspec.spec import FlowSpec
from flowspec.steps.base import Step

__all__ = ["json_schema"]

Schema: TypeAlias = "dict[str, Any]"

_REF = "#/$defs/"
_VARIABLE: Schema = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A text with environment variables: `${NAME}` or `${NAME:default}`.",
}
_CLOSED: Schema = {"contains": {"required": ["route"], "properties": {"route": {"required": ["otherwise"]}}}}
"""Steps through which no record comes; that it is the last of them is left to the flow itself."""
_ANNOTATIONS = ("title", "description", "default", "examples")


def json_schema() -> Schema:
    """The schema (draft 2020-12) of a spec file; editors complete and check specs by it.

    What is installed but cannot be loaded is left out.
    """
    triggers = _loadable(registry.trigger, registry.triggers())
    actions = _loadable(registry.action, registry.actions())
    lookups = _loadable(registry.lookup, registry.lookups())
    calls = _loadable(registry.call, registry.calls())
    steps = _loadable(registry.step, registry.steps())
    groups: dict[type[BaseModel], dict[str, type[Any]]] = {
        Trigger: triggers,
        Action: actions,
        Step: steps,
        Lookup: lookups,
        Call: calls,
    }
    models: list[type[BaseModel]] = [
        FlowSpec,
        *groups,
        *(model for group in groups.values() for model in group.values()),
    ]
    refs, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REF + "{model}")
    definitions: dict[str, Schema] = {name: _with_variables(item) for name, item in schema["$defs"].items()}

    def definition_name(model: type[BaseModel]) -> str:
        return str(refs[model, "validation"]["$ref"]).removeprefix(_REF)

    for group, key in ((triggers, "event"), (actions, "action"), (lookups, "connector"), (calls, "connector")):
        for name, model in group.items():
            _require_names(definitions[definition_name(model)], key, name.partition(".")[0], group)
    for contract, group in groups.items():
        options = [{"$ref": _REF + definition_name(model)} for model in group.values()]
        # A step of several kinds is refused for that, and not because it is one of each.
        definitions[definition_name(contract)] = {"anyOf" if contract is Step else "oneOf": options}
    action = {"$ref": _REF + definition_name(Action)}
    for name, definition in definitions.items():
        if {"steps", "sinks"} <= definition.get("properties", {}).keys():
            definitions[name] = _line(definition, action)
    flow = _flow(definitions[definition_name(FlowSpec)])
    definitions["Variable"] = _VARIABLE
    used = {name: definitions[name] for name in sorted(_used(flow, definitions))}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **flow, "$defs": used}


def _loadable(find: Callable[..., type[Any]], names: list[str]) -> dict[str, type[Any]]:
    found = {}
    for name in names:
        try:
            found[name] = find(*name.split(".", 1))
        except RegistryError:
            continue
    return found


def _require_names(definition: Schema, key: str, connector: str, group: dict[str, type[Any]]) -> None:
    """The models have their own names as defaults; a document has to say them."""
    needed = ["connector"]
    if sum(name.partition(".")[0] == connector for name in group) > 1:
        needed.append(key)
    definition["required"] = sorted({*definition.get("required", []), *needed})


def _line(definition: Schema, action: Schema) -> Schema:
    """What has steps and sinks behind them: a single sink may be written as such, and where nothing comes is none."""
    properties = {
        **definition["properties"],
        "sink": {"description": "Where the records go, where it is one sink.", **action},
    }
    one, several = {"required": ["sink"]}, {"required": ["sinks"]}
    none = {"not": {"anyOf": [one, several]}, "properties": {"steps": {"anyOf": [{"maxItems": 0}, _CLOSED]}}}
    return {**definition, "properties": properties, "oneOf": [one, several, none]}


def _flow(flow: Schema) -> Schema:
    named = {"$schema": {"type": "string", "description": "The JSON Schema of this file, for editors."}}
    one, several, none = flow["oneOf"]
    # Records have to go somewhere.
    none = {**none, "properties": {"steps": _CLOSED}, "required": ["steps"]}
    return {**flow, "title": "Flow", "properties": {**named, **flow["properties"]}, "oneOf": [one, several, none]}


def _with_variables(schema: Schema) -> Schema:
    """`schema`, with a variable allowed wherever a plain text would be refused."""
    changed = dict(schema)
    if "properties" in schema:
        changed["properties"] = {name: _with_variables(item) for name, item in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            changed[key] = _with_variables(schema[key])
    if "anyOf" in schema:
        inner = [item if _refuses_texts(item) else _with_variables(item) for item in schema["anyOf"]]
        variable = [{"$ref": _REF + "Variable"}] if any(map(_refuses_texts, schema["anyOf"])) else []
        changed["anyOf"] = inner + variable
    if not _refuses_texts(schema):
        return changed
    notes = {key: value for key, value in schema.items() if key in _ANNOTATIONS}
    bare = {key: value for key, value in schema.items() if key not in _ANNOTATIONS}
    return {**notes, "anyOf": [bare, {"$ref": _REF + "Variable"}]}


def _refuses_texts(schema: Schema) -> bool:
    return schema.get("type") in ("integer", "number", "boolean") or (
        schema.get("type") == "string" and bool({"pattern", "enum", "maxLength"} & schema.keys())
    )


def _used(schema: Any, definitions: dict[str, Schema]) -> set[str]:
    """The definitions that `schema` refers to, and those that they refer to."""
    used: set[str] = set()
    waiting = [schema]
    while waiting:
        for name in _references(waiting.pop()):
            if name not in used:
                used.add(name)
                waiting.append(definitions[name])
    return used


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_REF)
        for item in schema.values():
            yield from _references(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)
