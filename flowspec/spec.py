"""The model of a whole flow: a trigger, steps and sinks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, model_validator
from typing_extensions import Self

from flowspec.connectors import Action, Trigger
from flowspec.journal.settings import JournalChoice
from flowspec.objects import Path, made, mistake, refused, written, written_sinks
from flowspec.parts import Way
from flowspec.policies import ErrorPolicy, RetryPolicy, StopAfter
from flowspec.stateful.contract import StatefulStep
from flowspec.steps.base import Step
from flowspec.steps.branching import Line, Sinks, Steps
from flowspec.testing.model import SpecTest

__all__ = ["FlowSpec", "repeated_ids"]


class FlowSpec(Line):
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
        made(Trigger),
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
        made(Action),
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
        Steps,
        Field(
            description="What happens to each record, in order. A step is an object with one key that names its kind.",
            examples=[[{"filter": "status == 'paid'"}]],
        ),
    ] = Field(default_factory=list)
    sinks: Annotated[
        Sinks,
        Field(
            min_length=1,
            description="Where the records go; each sink gets every record. A flow whose last step is a `route` with "
            "`otherwise` has none here.",
            examples=[[{"connector": "stdout"}]],
        ),
    ] = Field(default_factory=list)
    tests: Annotated[
        list[SpecTest],
        Field(
            description="Records that are given to the flow, and what is expected of it.",
            examples=[[{"name": "a paid order", "given": [{"id": 1}], "expect": {"sink": [{"id": 1}]}}]],
        ),
    ] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _without_schema(cls, value: Any) -> Any:
        return {key: item for key, item in value.items() if key != "$schema"} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _ids_differ(self) -> Self:
        way = self.way()
        ids = [*(part.step.id for part in way.all_steps()), *(part.sink.id for part in way.all_sinks())]
        if places := repeated_ids(ids):
            message = f"the id {ids[places[0]]!r} is used twice; steps and sinks need ids of their own"
            raise mistake(message, "repeated_id")
        return self

    @model_validator(mode="after")
    def _sinks_fit(self) -> Self:
        sinks = list(self.way().all_sinks())
        for part in sinks:
            if (misfit := part.sink.misfit(self.trigger, len(sinks))) is not None:
                field, message = misfit
                raise refused(getattr(part.sink, field), mistake(message, "misfit"), *part.path, field)
        return self

    @model_validator(mode="after")
    def _retries_fit(self) -> Self:
        way = self.way()
        if not any(part.sink.commits_with_trigger for part in way.all_sinks()):
            return self
        policies: list[tuple[Path, ErrorPolicy | None]] = [((), self.on_error)]
        policies += [(part.path, part.step.on_error) for part in way.all_steps()]
        policies += [(part.path, part.sink.on_error) for part in way.all_sinks()]
        message = "what is tried again later is committed before, which does not go with exactly_once"
        for path, policy in policies:
            if isinstance(policy, RetryPolicy):
                raise refused(policy, mistake(message, "misfit"), *path, "on_error")
        return self

    @model_validator(mode="after")
    def _state_fits(self) -> Self:
        if not self.remembers:
            return self
        for part in self.way().all_sinks():
            if part.sink.commits_with_trigger:
                message = "exactly_once is for flows whose steps remember nothing; leave it out, and have the sink's "
                message += "system recognize what comes twice by its key"
                raise refused(None, mistake(message, "misfit"), *part.path, "exactly_once")
        return self

    def way(self) -> Way:
        """All its steps and sinks, those of branches as well."""
        return Way.of(self)

    @property
    def remembers(self) -> bool:
        """Whether a step of it has a memory, which is kept in a recovery store."""
        return any(isinstance(step, StatefulStep) for _, step in self.named_steps())

    def named_steps(self) -> list[tuple[str, Step]]:
        """The steps with their ids, each followed by those of its branches; by default kind and place, as `map-2`."""
        return [(part.id, part.step) for part in self.way().all_steps()]

    def named_sinks(self) -> list[tuple[str, Action]]:
        """All sinks with their ids; by default connector and action, as `rabbitmq-publish`."""
        return [(part.id, part.sink) for part in self.way().all_sinks()]

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
        document["trigger"] = written(self.trigger)
        if self.steps:
            document["steps"] = [written(step) for step in self.steps]
        if self.dead_letters is not None:
            document["dead_letters"] = written(self.dead_letters)
        document |= written_sinks(self.sinks)
        return document | self.model_dump(mode="json", include={"tests"}, exclude_unset=True)


def repeated_ids(ids: Sequence[Any]) -> list[int]:
    """The places of the ids that were there before."""
    return [place for place, each in enumerate(ids) if each is not None and each in ids[:place]]
