"""The model of a whole flow: a trigger, steps and sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import LiteralString, Self

from flowspec import registry
from flowspec.connectors import Account, Action, SpecModel, Trigger
from flowspec.journal.settings import JournalChoice
from flowspec.policies import ErrorPolicy, RetryPolicy, StopAfter
from flowspec.registry import RegistryError
from flowspec.steps.base import Step
from flowspec.testing.model import SpecTest

__all__ = ["FlowSpec", "model_of", "repeated_ids"]


def model_of(contract: type[SpecModel], written: Any) -> type[SpecModel]:
    """The model of a trigger, action or step that is written as an object of a spec; of others, `contract` itself.

    Raises:
        ValidationError: the object does not say which, or there is no such.
    """
    choose = _CHOICES.get(contract)
    return contract if choose is None or not isinstance(written, dict) else choose(written)


def _trigger_model(written: dict[str, Any]) -> type[SpecModel]:
    return _connector_model(written, "event", registry.trigger)


def _action_model(written: dict[str, Any]) -> type[SpecModel]:
    return _connector_model(written, "action", registry.action)


def _connector_model(
    written: dict[str, Any], key: str, find: Callable[[str, str | None], type[SpecModel]]
) -> type[SpecModel]:
    connector, name = written.get("connector"), written.get(key)
    if "connector" not in written:
        raise _refused(written, "missing", "connector")
    if not isinstance(connector, str):
        raise _refused(connector, "string_type", "connector")
    if not (name is None or isinstance(name, str)):
        raise _refused(name, "string_type", key)
    try:
        return find(connector, name)
    except RegistryError as error:
        said = [error.key] if error.key in written else []
        raise _refused(written.get(error.key), _error(str(error), "unknown_name"), *said) from None


def _step_model(written: dict[str, Any]) -> type[SpecModel]:
    names = [name for name in written if name not in Step.model_fields]
    kinds = [name for name in names if name in registry.steps()]
    if len(kinds) > 1:
        message = f"a step has one kind, this has {' and '.join(map(repr, kinds))}; make a step of each"
        raise _refused(None, _error(message, "step_kinds"))
    if not names:
        message = f"the step does not say what it does; add one of {', '.join(registry.steps())}"
        raise _refused(None, _error(message, "step_kinds"))
    try:
        return registry.step((kinds or names)[0])
    except RegistryError as error:
        raise _refused(None, _error(str(error), "unknown_name"), names[0]) from None


def _error(message: str, kind: LiteralString) -> PydanticCustomError:
    return PydanticCustomError(kind, "{message}", {"message": message})


def _refused(given: Any, error: str | PydanticCustomError, *place: str | int) -> ValidationError:
    """The error of an object, or of what is given at a place in it, as pydantic itself would raise it."""
    return ValidationError.from_exception_data("spec", [InitErrorDetails(type=error, loc=place, input=given)])


_CHOICES: dict[type[SpecModel], Callable[[dict[str, Any]], type[SpecModel]]] = {
    Trigger: _trigger_model,
    Action: _action_model,
    Step: _step_model,
}


def _made(contract: type[SpecModel]) -> BeforeValidator:
    """The validator that makes what an object of a spec says; pydantic checks the rest."""
    return BeforeValidator(
        lambda value: model_of(contract, value).model_validate(value) if isinstance(value, dict) else value
    )


class FlowSpec(SpecModel):
    """A flow: what starts it, what happens to each record, and where the records go.

    In a document, a single sink may be written as `sink`, and `$schema` may name the JSON Schema for editors.
    """

    name: Annotated[
        str,
        Field(
            pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
            max_length=100,
            description="Name of the flow in logs, status, state and dead letters. A renamed flow starts anew.",
            examples=["paid-orders-to-billing"],
        ),
    ]
    description: Annotated[
        str, Field(description="What the flow is for.", examples=["Paid orders go to the billing system."])
    ] = ""
    trigger: Annotated[
        SerializeAsAny[Trigger],
        _made(Trigger),
        Field(
            description="What starts the flow, and where its records come from.",
            examples=[{"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:5000/123456789012/orders"}],
        ),
    ]
    on_error: Annotated[
        ErrorPolicy,
        Field(
            description="What happens to a record that fails, where its step or sink says nothing else.",
            examples=["dead_letter"],
        ),
    ] = "dead_letter"
    stop_after: Annotated[
        StopAfter | None,
        Field(
            description="Stop the flow when too many records fail; the next run goes on with what was not delivered.",
            examples=[{"failures": 100, "within": "1m"}],
        ),
    ] = None
    dead_letters: Annotated[
        SerializeAsAny[Action] | None,
        _made(Action),
        Field(
            description="A sink for dead letters, in place of the store in the state directory.",
            examples=[{"connector": "rabbitmq", "action": "publish", "routing_key": "orders.dead"}],
        ),
    ] = None
    journal: Annotated[
        JournalChoice,
        Field(
            description="What is noted of what happens to records, to be found by `pipelines executions`.",
            examples=["all", {"level": "all", "keep": {"age": "7d"}}],
        ),
    ] = "failures"
    steps: Annotated[
        list[Annotated[SerializeAsAny[Step], _made(Step)]],
        Field(
            description="What happens to each record, in order. A step is an object with one key that names its kind.",
            examples=[[{"filter": "status == 'paid'"}]],
        ),
    ] = Field(default_factory=list)
    sinks: Annotated[
        list[Annotated[SerializeAsAny[Action], _made(Action)]],
        Field(
            min_length=1,
            description="Where the records go; each sink gets every record.",
            examples=[[{"connector": "stdout"}]],
        ),
    ]

    tests: Annotated[
        list[SpecTest],
        Field(
            description="Records that are given to the flow, and what is expected of it.",
            examples=[[{"name": "a paid order", "given": [{"id": 1}], "expect": {"sink": [{"id": 1}]}}]],
        ),
    ] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _from_document(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        value = {key: item for key, item in value.items() if key != "$schema"}
        if "sink" in value and "sinks" not in value:
            value["sinks"] = [value.pop("sink")]
        return value

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        ids = [*(step.id for step in self.steps), *(sink.id for sink in self.sinks)]
        if places := repeated_ids(ids):
            message = f"the id {ids[places[0]]!r} is used twice; steps and sinks need ids of their own"
            raise _error(message, "repeated_id")
        return self

    @model_validator(mode="after")
    def _sinks_fit(self) -> Self:
        for place, sink in enumerate(self.sinks):
            if (misfit := sink.misfit(self.trigger, len(self.sinks))) is not None:
                field, message = misfit
                raise _refused(getattr(sink, field), _error(message, "misfit"), "sinks", place, field)
        return self

    @model_validator(mode="after")
    def _retries_fit(self) -> Self:
        parts: list[tuple[tuple[str | int, ...], ErrorPolicy | None]] = [((), self.on_error)]
        parts += [(("steps", place), step.on_error) for place, step in enumerate(self.steps)]
        parts += [(("sinks", place), sink.on_error) for place, sink in enumerate(self.sinks)]
        if any(sink.commits_with_trigger for sink in self.sinks):
            message = "what is tried again later is committed before, which does not go with exactly_once"
            for path, policy in parts:
                if isinstance(policy, RetryPolicy):
                    raise _refused(policy, _error(message, "misfit"), *path, "on_error")
        return self

    def named_steps(self) -> list[tuple[str, Step]]:
        """The steps with their ids; by default kind and place, as `map-2`."""
        return list(zip(self._ids()[: len(self.steps)], self.steps, strict=True))

    def named_sinks(self) -> list[tuple[str, Action]]:
        """The sinks with their ids; by default connector and action, as `rabbitmq-publish`."""
        return list(zip(self._ids()[len(self.steps) :], self.sinks, strict=True))

    def _ids(self) -> list[str]:
        taken = {*(step.id or "" for step in self.steps), *(sink.id or "" for sink in self.sinks)}
        ids = [step.id or _free(f"{step.kind}-{place}", taken) for place, step in enumerate(self.steps, 1)]
        return ids + [sink.id or _free(f"{sink.connector}-{sink.action}", taken) for sink in self.sinks]

    def to_spec(self) -> dict[str, Any]:
        """The document of the flow: what a spec file has in it, without what is left at its default.

        An account that came from the accounts file is its name again, secrets of others are masked, and a variable is
        what it stood for.

        Raises:
            ValueError: a function of a `python` step has no name by which it can be imported.
        """
        document: dict[str, Any] = {"name": self.name}
        if self.description:
            document["description"] = self.description
        document |= self.model_dump(mode="json", include={"on_error", "stop_after", "journal"}, exclude_defaults=True)
        document["trigger"] = _written(self.trigger, "connector", "event")
        if self.steps:
            document["steps"] = [_written(step) for step in self.steps]
        if self.dead_letters is not None:
            document["dead_letters"] = _written(self.dead_letters, "connector", "action")
        sinks = [_written(sink, "connector", "action") for sink in self.sinks]
        document |= {"sink": sinks[0]} if len(sinks) == 1 else {"sinks": sinks}
        return document | self.model_dump(mode="json", include={"tests"}, exclude_unset=True)


def repeated_ids(ids: Sequence[Any]) -> list[int]:
    """The places of the ids that were there before."""
    return [place for place, each in enumerate(ids) if each is not None and each in ids[:place]]


def _free(name: str, taken: set[str]) -> str:
    """`name`, with a number where it is taken; it is taken then."""
    free = next(each for each in _numbered(name) if each not in taken)
    taken.add(free)
    return free


def _numbered(name: str) -> Iterator[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


def _written(part: SpecModel, *always: str) -> dict[str, Any]:
    written = part.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    account = getattr(part, "account", None)
    if isinstance(account, Account) and account.known_as is not None:
        written["account"] = account.known_as
    return {**{name: getattr(part, name) for name in always}, **written}
