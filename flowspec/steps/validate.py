"""The step that checks bodies against a JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import orjson
from pydantic import Field, PrivateAttr, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import Self

from flowspec.errors import MissingDependencyError, RecordError
from flowspec.expressions.careful import describe
from flowspec.formats.plain import encode_json
from flowspec.loading.document import texts
from flowspec.loading.problems import show_path
from flowspec.model import SpecModel
from flowspec.steps.base import Step

if TYPE_CHECKING:
    import jsonschema_rs

    from flowspec.loading.problems import Path as DocumentPath
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Rules", "Validate"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_SHOWN = 5
_LONGEST_PATH, _LONGEST_REASON = 100, 200
_VALUE = "\ue000"
"""Stands for the value in the messages of the library, which would quote it in full."""


class Rules(SpecModel):
    """The JSON Schema that bodies must fit: in the spec, or in a file."""

    document: Annotated[
        dict[str, Any] | None,
        Field(
            alias="schema",
            description="The schema itself; draft 2020-12, where its `$schema` says no other.",
            examples=[{"type": "object", "required": ["order_id"], "properties": {"total": {"type": "number"}}}],
        ),
    ] = None
    file: Annotated[
        str | None,
        Field(
            min_length=1,
            description="A JSON file with the schema, relative to the current directory. No variables are filled in.",
            examples=["order.schema.json"],
        ),
    ] = None
    _content: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """The schema, wherever it is."""
        return self._content

    @model_validator(mode="after")
    def _is_a_schema(self) -> Self:
        if self.document is not None and self.file is None:
            self._content = self.document
            if mistakes := _mistakes(self.document):
                raise _refused([mistake.below("schema") for mistake in mistakes])
        elif self.file is not None and self.document is None:
            self._content, reason = _read(Path(self.file))
            if mistakes := _mistakes(self._content):
                reasons = [f"{show_path(path)}: {reason}" if path else reason for path, reason, _ in mistakes]
                reason = f"{self.file} is not a JSON Schema: {'; '.join(reasons)}"
            if reason:
                raise _refused([_Mistake((), reason)])
        else:
            msg = "write either 'schema', with the JSON Schema itself, or 'file'"
            raise ValueError(msg)
        return self


class Validate(Step):
    """Check bodies against a JSON Schema and leave them as they are; a record that does not fit fails.

    Formats like `email` and `date-time` are checked as well. Nothing is fetched: a schema may refer to itself only.
    """

    kind = "validate"

    rules: Annotated[
        Rules,
        Field(
            alias="validate",
            description="The JSON Schema: an object with `schema`, the schema itself, or `file`, the file that has it.",
            examples=[{"schema": {"required": ["id"], "properties": {"email": {"type": "string", "format": "email"}}}}],
        ),
    ]

    def build(self) -> Transform:
        """The schema is compiled; what is wrong with a body is looked for only where something is."""
        rules = _compiled(self.rules.content)

        def check_bodies(records: list[Record]) -> list[Record]:
            for record in records:
                if not _fits(rules, record.body) and (failures := _failures(rules, record.body)):
                    raise RecordError(failures)
            return records

        return check_bodies


class _Mistake(NamedTuple):
    """What is wrong at a place of a schema."""

    path: DocumentPath
    reason: str
    value: Any = None

    def below(self, name: str) -> _Mistake:
        return self._replace(path=(name, *self.path))


def _refused(mistakes: list[_Mistake]) -> ValidationError:
    """The mistakes, each at its own place of the spec."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError("schema_error", "{message}", {"message": mistake.reason}),
            loc=mistake.path,
            input=mistake.value,
        )
        for mistake in mistakes
    ]
    return ValidationError.from_exception_data("validate", details)


def _read(file: Path) -> tuple[dict[str, Any], str]:
    """The object that a file has, or why it has none."""
    try:
        found = orjson.loads(file.read_bytes())
    except FileNotFoundError:
        return {}, f"there is no file {file}; make it, or correct the path, which begins at {Path.cwd()}"
    except OSError as error:
        return {}, f"the file {file} cannot be read: {error.strerror or error}"
    except orjson.JSONDecodeError as error:
        return {}, f"{file}:{error.lineno}: this is not JSON: {error.msg}"
    return (found, "") if isinstance(found, dict) else ({}, f"{file} is not a JSON Schema but {describe(found)}")


def _compiled(schema: dict[str, Any]) -> jsonschema_rs.Validator:
    try:
        import jsonschema_rs
    except ImportError:
        raise MissingDependencyError(connector="validate", extra="validate", sort="step") from None
    return jsonschema_rs.validator_for(schema, validate_formats=True, mask=_VALUE, retriever=_fetch_nothing)


def _fetch_nothing(_: str) -> Any:
    msg = "nothing is fetched"
    raise ValueError(msg)


def _mistakes(schema: dict[str, Any]) -> list[_Mistake]:
    """The first things that are wrong with a schema."""
    draft = schema.get("$schema", _DRAFT)
    try:
        language = _compiled({"$schema": draft, "$ref": draft})
    except ValueError:
        reason = f"{describe(draft)} is no draft of JSON Schema that is known; the newest is {_DRAFT!r}"
        return [_Mistake(("$schema",), reason, draft)]
    found = [_mistake(error) for error in islice(language.iter_errors(schema), _SHOWN)]
    if not found:
        try:
            _compiled(schema)
        except ValueError as error:
            found.append(_unresolved(schema, str(getattr(error, "message", error))))
    return found


def _unresolved(schema: dict[str, Any], message: str) -> _Mistake:
    """The mistake of a reference that leads nowhere, as the library's message has no place."""
    for path, reference in texts(schema):
        document, _, fragment = reference.partition("#")
        if path[-1] in ("$ref", "$dynamicRef", "$recursiveRef") and f"{document or fragment}'" in message:
            reason = f"the schema has no {reference!r}"
            if document:
                reason = f"{reference!r} is another document, and none is fetched; put it under '$defs'"
            return _Mistake(path, reason, reference)
    return _Mistake((), message)


def _fits(rules: jsonschema_rs.Validator, body: Any) -> bool:
    try:
        return rules.is_valid(body)
    except ValueError:  # it has a value of a type that JSON does not have
        return False


def _failures(rules: jsonschema_rs.Validator, body: Any) -> str:
    """What is wrong with a body, as it is in JSON; empty if it fits."""
    try:
        errors = list(islice(rules.iter_errors(_as_json(body)), _SHOWN + 1))
    except (TypeError, ValueError) as error:
        msg = f"the body cannot be written as JSON: {error.__cause__ or error}"
        raise RecordError(msg) from error
    found = [_mistake(error) for error in errors[:_SHOWN]]
    shown = [f"{_cut(show_path(path) or 'body', _LONGEST_PATH)}: {reason}" for path, reason, _ in found]
    return "; ".join([*shown, "and more"] if len(errors) > _SHOWN else shown)


def _as_json(value: Any) -> Any:
    """`value` of the types that JSON has; what it has none for is the text that sinks write."""
    if isinstance(value, Mapping):
        return {name: _as_json(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    # The schema's 'number' takes a Decimal as it is.
    if value is None or isinstance(value, (str, bool, int, float, Decimal)):
        return value
    return orjson.loads(encode_json(value))


def _mistake(error: jsonschema_rs.ValidationError) -> _Mistake:
    nearest, keyword = _nearest(error)
    reason = nearest.message.replace(_VALUE, describe(nearest.instance))
    other = f", and no other option of {keyword!r} fits" if keyword else ""
    return _Mistake(tuple(nearest.instance_path), _cut(reason, _LONGEST_REASON) + other, nearest.instance)


def _nearest(error: jsonschema_rs.ValidationError) -> tuple[jsonschema_rs.ValidationError, str]:
    """What is wrong with the option that fits best, where none does, and the keyword of the options."""
    keyword = ""
    while options := _options(error):
        keyword = keyword or error.kind.name
        option = min(options, key=_distance)
        error = max(option, key=_depth)
    return error, keyword


def _options(error: jsonschema_rs.ValidationError) -> list[list[jsonschema_rs.ValidationError]]:
    """What is wrong with each option of 'anyOf' or 'oneOf'; nothing where several fit, which is wrong as well."""
    options: list[list[jsonschema_rs.ValidationError]] = getattr(error.kind, "context", [])
    return options if all(options) else []


def _distance(option: list[jsonschema_rs.ValidationError]) -> tuple[int, bool, int]:
    """How far a value is from an option: a failure deep in it is nearer than one at its top, or of what tells it."""
    return -max(map(_depth, option)), any(error.kind.name == "const" for error in option), len(option)


def _depth(error: jsonschema_rs.ValidationError) -> int:
    return len(error.instance_path)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 3] + "..."
