"""The step that writes to the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from flowspec.expressions import Template
from flowspec.steps.base import Step
from flowspec.steps.shorthand import Shorthand

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Log", "Message"]

_MAX_LENGTH = 1_000
_log = logging.getLogger("pipelines.flow")


class Message(Shorthand):
    """What is logged of each record."""

    main = "message"

    message: Annotated[
        Template,
        Field(
            description=f"The text, a template; cut after {_MAX_LENGTH:,} characters.",
            examples=["Order {order_id}"],
        ),
    ]
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(description="How important it is.", examples=["warning"]),
    ] = "info"


class Log(Step):
    """Log a line for each record, and pass the records on as they are."""

    kind = "log"
    batched: ClassVar[bool] = False

    log: Annotated[
        Message,
        Field(
            description="The message, and optionally its level.",
            examples=["Order {order_id}", {"level": "warning", "message": "Order {order_id} is late"}],
        ),
    ]

    def build(self) -> Transform:
        """The texts of all records are made before the first is logged."""
        level, values = logging.getLevelName(self.log.level.upper()), self.log.message.values

        def log_records(records: list[Record]) -> list[Record]:
            for text in values(records):
                _log.log(level, "%s", text if len(text) <= _MAX_LENGTH else text[: _MAX_LENGTH - 3] + "...")
            return records

        return log_records
