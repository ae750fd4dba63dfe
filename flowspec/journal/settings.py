"""What a spec says of its journal."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field
from typing_extensions import Self

from flowspec.fields import ByteSize, Duration
from flowspec.model import SpecModel

__all__ = ["JournalChoice", "JournalLevel", "JournalSettings", "Keep"]

JournalLevel: TypeAlias = Literal["all", "failures", "off"]

_PATH = r"^[^.\s]+(\.[^.\s]+)*$"
_FieldPath = Annotated[str, Field(pattern=_PATH)]


class Keep(SpecModel):
    """How much of the journal is kept; of what is too much, the oldest goes."""

    age: Annotated[Duration, Field(gt=0, description="How long an execution is kept.", examples=["7d"])] = 30 * 86400.0
    size: Annotated[
        ByteSize,
        Field(
            ge=1024**2,
            description="How large the file may become. SQLite's log beside it takes some megabytes more.",
            examples=["200MiB"],
        ),
    ] = 1024**3


class JournalSettings(SpecModel):
    """How much the journal tells, and of which of a record's own data.

    Of the content of records nothing is kept that `fields` does not ask for. `mask` and `never` also apply to what
    an error quotes of those fields.
    """

    level: Annotated[
        JournalLevel,
        Field(
            description="`all` keeps what happened to every record. `failures` keeps what failed, what became of it "
            "later, and counts of the others. `off` keeps nothing.",
            examples=["all"],
        ),
    ] = "failures"
    keep: Annotated[
        Keep, Field(description="How much is kept, and for how long.", examples=[{"age": "7d", "size": "200MiB"}])
    ] = Keep()
    fields: Annotated[
        tuple[_FieldPath, ...],
        Field(
            description="Fields of the body to keep, as the sink got them, or as the step that failed did.",
            examples=[["status", "customer"]],
        ),
    ] = ()
    mask: Annotated[
        tuple[_FieldPath, ...],
        Field(
            description="Fields of which a short keyed hash stands in the journal: equal values look equal, and are "
            "not told. `external_id` is the External ID, which is still found.",
            examples=[["customer.name", "external_id"]],
        ),
    ] = ()
    never: Annotated[
        tuple[_FieldPath, ...],
        Field(
            description="Fields of which nothing is kept, whatever `fields` and `mask` say.",
            examples=[["customer.card"]],
        ),
    ] = ()

    @classmethod
    def of(cls, choice: JournalChoice) -> Self:
        """The settings that a spec's `journal` stands for."""
        return choice if isinstance(choice, cls) else cls.model_validate({"level": choice})


def _chosen(value: Any) -> Any:
    """What is wrong with an object is said of it, and not that it is no text."""
    return JournalSettings.model_validate(value) if isinstance(value, dict) else value


JournalChoice: TypeAlias = Annotated[JournalLevel | JournalSettings, BeforeValidator(_chosen)]
"""The field `journal` of a spec: a level, or an object that says more."""
