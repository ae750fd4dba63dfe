"""The step that sends each record the way that is right for it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.errors import RecordError
from flowspec.expressions import Expression
from flowspec.model import SpecModel
from flowspec.objects import mistake, refused
from flowspec.steps.branching import Branch, BranchingStep, Choosing, PlacedBranch

if TYPE_CHECKING:
    from flowspec.records import Record

__all__ = ["Case", "Route", "RouteOptions"]

_EXAMPLE = {
    "cases": [
        {
            "id": "spain",
            "when": "country == 'ES'",
            "steps": [{"set": {"tax": "total * 0.21"}}],
            "sink": {"connector": "rabbitmq", "routing_key": "orders.es"},
        },
        {"id": "tests", "when": "total == 0"},
    ],
    "otherwise": {"sink": {"connector": "files", "path": "others.jsonl"}},
}


class Case(Branch):
    """A branch, and the records that take it."""

    id: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_-]+$",
            description="Name of the case in the ids of its steps and sinks; by default its place, as `case-1`.",
            examples=["spain"],
        ),
    ] = None
    when: Annotated[
        Expression,
        Field(
            description="Expression that is true for the records of the case. It is asked of those only that no case "
            "before has taken.",
            examples=["country == 'ES'"],
        ),
    ]


class RouteOptions(SpecModel):
    """The ways that records may take."""

    cases: Annotated[
        list[Case],
        Field(
            min_length=1,
            description="The cases in order; a record takes the first one whose `when` is true.",
            examples=[_EXAMPLE["cases"]],
        ),
    ]
    otherwise: Annotated[
        Branch | None,
        Field(
            description="The branch of the records of no case. Without it they go on to the next step, or the sinks; "
            "with it nothing goes on, so the route is the last step and no sink follows it.",
            examples=[_EXAMPLE["otherwise"]],
        ),
    ] = None

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names: set[str] = set()
        for place, case in enumerate(self.cases, 1):
            name = case.id or f"case-{place}"
            if name in names or name == "otherwise":
                message = f"the id {name!r} is used twice; each case of a route needs an id of its own"
                raise refused(name, mistake(message, "repeated_id"), "cases", place - 1, "id")
            names.add(name)
        return self

    @model_validator(mode="after")
    def _leads_somewhere(self) -> Self:
        if self.otherwise is not None and all(branch.is_empty for branch in (*self.cases, self.otherwise)):
            message = "no record goes anywhere; give a case a sink, or drop records with a 'filter'"
            raise refused(None, mistake(message, "misfit"), "cases")
        return self


class Route(BranchingStep):
    """Send each record to the steps and sinks of the first case that it fits: if, else if, else; or a switch.

    Records of a case do not come back to the steps that follow the route. Those of no case take the branch `otherwise`,
    or go on to the next step where there is none. A record for which a `when` fails is one that the route fails on.
    """

    kind = "route"

    route: Annotated[RouteOptions, Field(description="The cases, and what else.", examples=[_EXAMPLE])]

    def branches(self) -> list[PlacedBranch]:
        """The cases, and `otherwise`."""
        branches = [
            PlacedBranch(case.id or f"case-{place}", case.when.source, ("route", "cases", place - 1), case)
            for place, case in enumerate(self.route.cases, 1)
        ]
        if self.route.otherwise is not None:
            branches.append(PlacedBranch("otherwise", "otherwise", ("route", "otherwise"), self.route.otherwise))
        return branches

    def with_branches(self, branches: Sequence[Branch]) -> Self:
        """The same cases with other steps and sinks."""
        count = len(self.route.cases)
        update = {"cases": list(branches[:count]), "otherwise": branches[count] if self.is_closed else None}
        return self.model_copy(update={"route": self.route.model_copy(update=update)})

    @property
    def is_closed(self) -> bool:
        """Whether there is `otherwise`."""
        return self.route.otherwise is not None

    @classmethod
    def closes(cls, content: Any) -> bool:
        """Whether it says `otherwise`."""
        return isinstance(content, dict) and content.get("otherwise") is not None

    def choosing(self) -> Choosing:
        """Ask each case about the whole rest of the batch."""
        cases = self.route.cases
        names = [placed.name for placed in self.branches()]
        otherwise = len(cases) if self.is_closed else None

        def choose(records: list[Record]) -> list[int | None]:
            chosen: list[int | None] = [otherwise] * len(records)
            rest = list(range(len(records)))
            for number, case in enumerate(cases):
                fits = _values(names[number], case.when, [records[place] for place in rest])
                for place in compress(rest, fits):
                    chosen[place] = number
                rest = [place for place, fit in zip(rest, fits, strict=True) if not fit]
                if not rest:
                    break
            return chosen

        return choose


def _values(case: str, when: Expression, records: list[Record]) -> list[Any]:
    try:
        return when.values(records)
    except RecordError as error:
        msg = f"when of {case}: {error}"
        raise RecordError(msg) from error.__cause__
