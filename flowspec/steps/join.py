"""The step that joins the records of the flow with those of another trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, field_serializer, model_validator
from typing_extensions import Self

from flowspec.connectors import Trigger
from flowspec.expressions import Expression
from flowspec.fields import Duration
from flowspec.model import SpecModel
from flowspec.objects import made, written
from flowspec.stateful.contract import JoiningStep, Memory
from flowspec.stateful.keys import keyed
from flowspec.stateful.times import micros
from flowspec.steps.bodies import FieldPath, replaced

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Keyed, Keying

__all__ = ["Join", "JoinOptions"]


class JoinOptions(SpecModel):
    """The other trigger, and which of its records belong to one of the flow."""

    trigger: Annotated[
        SerializeAsAny[Trigger],
        made(Trigger),
        Field(
            alias="with",
            description="The other trigger, as an object like `trigger` of the flow.",
            examples=[{"connector": "kafka", "account": "kafka", "topics": ["customers"]}],
        ),
    ]
    key: Annotated[
        Expression,
        Field(description="Expression for what a record of the flow is joined by.", examples=["customer_id"]),
    ]
    with_key: Annotated[
        Expression | None,
        Field(description="The same of a record of the other trigger; by default as `key`.", examples=["id"]),
    ] = None
    into: Annotated[
        FieldPath,
        Field(description="The field for the body of the other record; it may be nested.", examples=["customer"]),
    ]
    within: Annotated[
        Duration | None,
        Field(
            gt=0,
            description="Join with each record of the other trigger that comes within that time before or after. "
            "Without it, with the last one that has come, whenever that was.",
            examples=["10m"],
        ),
    ] = None
    wait: Annotated[
        Duration,
        Field(
            ge=0,
            description="How long a record waits where there is no last one yet.",
            examples=["30s"],
        ),
    ] = 0.0
    missing: Annotated[
        Literal["fail", "null", "drop"],
        Field(
            description="What happens to a record of the flow that has met none: it fails, goes on with null, or is "
            "done, on purpose.",
            examples=["null"],
        ),
    ] = "fail"

    @field_serializer("trigger", when_used="json")
    def _written(self, trigger: Trigger) -> dict[str, Any]:
        return written(trigger)

    @model_validator(mode="after")
    def _one_time(self) -> Self:
        if self.within is not None and self.wait:
            msg = "wait is for a join with the last record; with `within` a record waits for so long anyway"
            raise ValueError(msg)
        return self


class Join(JoiningStep):
    """Put the body of a record of another trigger, with the same key, into that of a record of the flow.

    The last record of the other trigger is remembered for each key, so that table is in memory and in the recovery
    store; with `within`, the records of both sides for so long, by the time at which they come to the step. With
    `within`, a record that meets several others goes on several times.

    The other trigger is read like the flow's own, with its own health, cursor or consumer group, which is named after
    flow and step. Its records are delivered when the step remembers them; one that fails is a dead letter of the step.
    """

    kind = "join"

    join: Annotated[
        JoinOptions,
        Field(
            description="The other trigger, and how to join.",
            examples=[
                {
                    "with": {"connector": "kafka", "account": "kafka", "topics": ["customers"]},
                    "key": "customer_id",
                    "with_key": "id",
                    "into": "customer",
                }
            ],
        ),
    ]

    def keying(self) -> Keying:
        """The keys of records of both sides."""
        key, path = self.join.key, self.join.into.split(".")

        def keying(records: list[Record]) -> list[Keyed]:
            for record in records:
                # The memory must not fail.
                replaced(record.body, path, None)
            return keyed(key, records, False)

        return keying

    @property
    def other(self) -> Trigger:
        """The trigger that it is joined with."""
        return self.join.trigger

    def with_other(self, trigger: Trigger) -> Self:
        """A join with another one."""
        return self.model_copy(update={"join": self.join.model_copy(update={"trigger": trigger})})

    def other_keying(self) -> Keying:
        """The keys of records of the other trigger."""
        key = self.join.with_key or self.join.key
        return lambda records: keyed(key, records, True)

    def memory(self, state: bytes | None, step: str) -> Memory[bytes]:
        """What is there of the key."""
        from flowspec.stateful.joins import Latest, Missing, Pairs

        options = self.join
        missing = Missing(options.missing, options.key.source, options.into.split("."))
        if options.within is not None:
            return Pairs(state, missing, micros(options.within), step)
        return Latest(state, missing, micros(options.wait))

    def basis(self) -> dict[str, Any]:
        """The sides, their keys, and which way they are joined."""
        options = self.join
        trigger = {"connector": options.trigger.connector, "event": options.trigger.event}
        keys = {"key": options.key.exported(), "with_key": (options.with_key or options.key).exported()}
        return {"with": trigger, **keys, "pairs": options.within is not None}
