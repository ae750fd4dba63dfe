"""The step that holds records back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from flowspec.expressions import Expression
from flowspec.fields import Duration
from flowspec.model import SpecModel
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.stateful.keys import by_key
from flowspec.stateful.times import micros

if TYPE_CHECKING:
    from flowspec.stateful.contract import Keying

__all__ = ["Throttle", "ThrottleOptions"]


class ThrottleOptions(SpecModel):
    """How many records go on in which time."""

    key: Annotated[
        Expression | None,
        Field(
            description="Expression by which records are told apart: each key has the rate for itself. Without it all "
            "records are together, on one worker.",
            examples=["customer_id"],
        ),
    ] = None
    rate: Annotated[
        int, Field(ge=1, le=1_000_000, description="How many records go on in that time, at most.", examples=[10])
    ]
    per: Annotated[
        Duration,
        Field(ge=0.001, le=31_536_000, description="The time; they are spread evenly over it.", examples=["1m"]),
    ] = 1.0
    burst: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="How many may go on at once after a pause; then in no time more than the rate and that many go "
            "on.",
            examples=[10],
        ),
    ] = 1
    most: Annotated[
        int,
        Field(
            ge=1,
            le=1_000_000,
            description="How many records of a key may wait. They take memory, and are written to the recovery store "
            "again with each change; one more is an error of the record.",
            examples=[1000],
        ),
    ] = 10_000


class Throttle(StatefulStep):
    """Let records go on at a rate, in order; none is dropped, they wait until it is their time.

    What waits is kept in memory and in the recovery store, and goes on in the next run if the flow is stopped; at the
    end of the data it goes on at once. A record that comes when `most` wait fails, so `on_error` decides about it. One
    that is tried again because a later step or sink failed goes on at once.
    """

    kind = "throttle"

    throttle: Annotated[
        ThrottleOptions,
        Field(
            description="The rate.",
            examples=[{"rate": 10}, {"key": "customer_id", "rate": 100, "per": "1m", "burst": 10}],
        ),
    ]

    def keying(self) -> Keying:
        """The key is all that is needed."""
        return by_key(self.throttle.key)

    def memory(self, state: Any | None, step: str) -> Memory[Any]:
        """What waits of the key."""
        from flowspec.stateful.rates import Rate, Throttled

        options = self.throttle
        return Throttled(state, Rate(options.rate, micros(options.per), options.burst), options.most)

    def basis(self) -> dict[str, Any]:
        """What waits may go on at another rate."""
        return self.throttle.model_dump(mode="json", include={"key"})
