"""The objects of a spec: the models that they say they are, and how models are written as objects again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from pydantic import BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import LiteralString

from flowspec import registry
from flowspec.connectors import Account, Action, SpecModel, Trigger
from flowspec.lookups import Call, Lookup
from flowspec.registry import RegistryError
from flowspec.steps.base import Step

__all__ = ["CONTRACTS", "Path", "made", "mistake", "model_of", "refused", "written", "written_sinks"]

Path: TypeAlias = "tuple[str | int, ...]"
"""The keys and indexes that lead to a value of a document."""


def model_of(contract: type[SpecModel], value: Any) -> type[SpecModel]:
    """The model of a part that is written as an object of a spec, which says what it is; of others, `contract` itself.

    Raises:
        ValidationError: the object does not say which, or there is no such.
    """
    choose = CONTRACTS.get(contract)
    return contract if choose is None or not isinstance(value, dict) else choose(value)


def made(contract: type[SpecModel]) -> BeforeValidator:
    """The validator that makes what an object of a spec says; pydantic checks the rest."""
    return BeforeValidator(
        lambda value: model_of(contract, value).model_validate(value) if isinstance(value, dict) else value
    )


def written(part: SpecModel) -> dict[str, Any]:
    """The object of a part, as a spec has it: without defaults, and an account of the accounts file is its name."""
    document = part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    account = getattr(part, "account", None)
    if isinstance(account, Account) and account.known_as is not None:
        document["account"] = account.known_as
    # The models have their own names as defaults.
    names = [name for name in ("connector", "event", "action") if name in type(part).model_fields]
    return {**{name: getattr(part, name) for name in names}, **document}


def written_sinks(sinks: Sequence[Action]) -> dict[str, Any]:
    """What says in a spec where records go."""
    objects = [written(sink) for sink in sinks]
    if len(objects) == 1:
        return {"sink": objects[0]}
    return {"sinks": objects} if objects else {}


def mistake(message: str, kind: LiteralString) -> PydanticCustomError:
    """An error in words of our own."""
    return PydanticCustomError(kind, "{message}", {"message": message})


def refused(given: Any, error: str | PydanticCustomError, *place: str | int) -> ValidationError:
    """The error of an object, or of what is given at a place in it, as pydantic itself would raise it."""
    return ValidationError.from_exception_data("spec", [InitErrorDetails(type=error, loc=place, input=given)])


def _trigger_model(value: dict[str, Any]) -> type[SpecModel]:
    return _connector_model(value, "event", registry.trigger)


def _action_model(value: dict[str, Any]) -> type[SpecModel]:
    return _connector_model(value, "action", registry.action)


def _connector_model(
    value: dict[str, Any], key: str, find: Callable[[str, str | None], type[SpecModel]]
) -> type[SpecModel]:
    connector, name = _connector(value), value.get(key)
    if not (name is None or isinstance(name, str)):
        raise refused(name, "string_type", key)
    try:
        return find(connector, name)
    except RegistryError as error:
        said = [error.key] if error.key in value else []
        raise refused(value.get(error.key), mistake(str(error), "unknown_name"), *said) from None


def _asked_model(value: dict[str, Any], find: Callable[[str], type[SpecModel]]) -> type[SpecModel]:
    connector = _connector(value)
    try:
        return find(connector)
    except RegistryError as error:
        raise refused(connector, mistake(str(error), "unknown_name"), "connector") from None


def _connector(value: dict[str, Any]) -> str:
    if "connector" not in value:
        raise refused(value, "missing", "connector")
    if not isinstance(connector := value["connector"], str):
        raise refused(connector, "string_type", "connector")
    return connector


def _step_model(value: dict[str, Any]) -> type[SpecModel]:
    names = [name for name in value if name not in Step.model_fields]
    kinds = [name for name in names if name in registry.steps()]
    if len(kinds) > 1:
        message = f"a step has one kind, this has {' and '.join(map(repr, kinds))}; make a step of each"
        raise refused(None, mistake(message, "step_kinds"))
    if not names:
        message = f"the step does not say what it does; add one of {', '.join(registry.steps())}"
        raise refused(None, mistake(message, "step_kinds"))
    try:
        return registry.step((kinds or names)[0])
    except RegistryError as error:
        raise refused(None, mistake(str(error), "unknown_name"), names[0]) from None


CONTRACTS: dict[type[SpecModel], Callable[[dict[str, Any]], type[SpecModel]]] = {
    Trigger: _trigger_model,
    Action: _action_model,
    Step: _step_model,
    Lookup: lambda value: _asked_model(value, registry.lookup),
    Call: lambda value: _asked_model(value, registry.call),
}
"""What the parts of a spec have to be, and the choice of the model for an object of each."""
