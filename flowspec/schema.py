"""The JSON Schema of the whole language, made of everything that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from flowspec import registry
from flowspec.registry import RegistryError
from flowspec.spec import FlowSpec

__all__ = ["json_schema"]

Schema: TypeAlias = "dict[str, Any]"

_REF = "#/$defs/"
_VARIABLE: Schema = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A text with environment variables: `${NAME}` or `${NAME:default}`.",
}
_ANNOTATIONS = ("title", "description", "default", "examples")


def json_schema() -> Schema:
    """The schema (draft 2020-12) of a spec file; editors complete and check specs by it.

    What is installed but cannot be loaded is left out.
    """
    triggers = _loadable(registry.trigger, registry.triggers())
    actions = _loadable(registry.action, registry.actions())
    steps = _loadable(registry.step, registry.steps())
    models: list[type[BaseModel]] = [FlowSpec, *triggers.values(), *actions.values(), *steps.values()]
    refs, schema = models_json_schema([(model, "validation") for model in models], ref_template=_REF + "{model}")
    definitions: dict[str, Schema] = {name: _with_variables(item) for name, item in schema["$defs"].items()}

    def definition_name(model: type[BaseModel]) -> str:
        return str(refs[model, "validation"]["$ref"]).removeprefix(_REF)

    def options(group: dict[str, type[Any]]) -> list[Schema]:
        return [{"$ref": _REF + definition_name(model)} for model in group.values()]

    for group, key in ((triggers, "event"), (actions, "action")):
        for name, model in group.items():
            _require_names(definitions[definition_name(model)], key, name.partition(".")[0], group)
    flow = _flow(definitions[definition_name(FlowSpec)], options(triggers), options(steps), options(actions))
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


def _flow(flow: Schema, triggers: list[Schema], steps: list[Schema], actions: list[Schema]) -> Schema:
    properties: dict[str, Schema] = flow["properties"]
    sinks = properties["sinks"]
    return {
        **flow,
        "title": "Flow",
        "properties": {
            "$schema": {"type": "string", "description": "The JSON Schema of this file, for editors."},
            **properties,
            "trigger": {**_without_ref(properties["trigger"]), "oneOf": triggers},
            "dead_letters": {**_notes(properties["dead_letters"]), "oneOf": actions},
            "steps": {**properties["steps"], "items": {"anyOf": steps}},
            "sink": {"description": "Where the records go, where it is one sink.", "oneOf": actions},
            "sinks": {**sinks, "items": {"oneOf": actions}},
        },
        "required": [name for name in flow["required"] if name != "sinks"],
        "oneOf": [{"required": ["sink"]}, {"required": ["sinks"]}],
    }


def _notes(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key in _ANNOTATIONS and value is not None}


def _without_ref(schema: Schema) -> Schema:
    return {key: value for key, value in schema.items() if key != "$ref"}


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
