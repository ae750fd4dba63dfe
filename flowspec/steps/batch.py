"""The step that gathers records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import orjson
from pydantic import Field, model_validator
from typing_extensions import Self

from flowspec.errors import RecordError
from flowspec.expressions import Expression
from flowspec.fields import ByteSize, Duration
from flowspec.model import SpecModel
from flowspec.stateful.contract import Memory, StatefulStep
from flowspec.stateful.keys import keys_of
from flowspec.stateful.times import micros

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.stateful.contract import Keyed, Keying

__all__ = ["Batch", "BatchOptions"]


class BatchOptions(SpecModel):
    """Which records are gathered, and until when."""

    key: Annotated[
        Expression | None,
        Field(
            description="Expression by which records are told apart: each key has batches of its own. Without it all "
            "records are together, on one worker.",
            examples=["customer_id"],
        ),
    ] = None
    count: Annotated[
        int | None,
        Field(ge=1, le=100_000, description="A batch goes on when it has so many records.", examples=[100]),
    ] = None
    bytes: Annotated[
        ByteSize | None,
        Field(
            ge=1,
            description="A batch goes on before it has more bytes than that, counted as the JSON of the list of its "
            "bodies. A record that alone has more is a batch of its own.",
            examples=["200KiB"],
        ),
    ] = None
    time: Annotated[
        Duration | None,
        Field(
            ge=0.001,
            description="A batch goes on when its first record has waited for so long. Without it records wait for as "
            "long as the others take to come.",
            examples=["5s"],
        ),
    ] = None
    gives: Annotated[
        Literal["list", "records"],
        Field(
            description="What goes on: one record whose body is the `list` of the bodies, or the `records` as they "
            "are, together.",
            examples=["records"],
        ),
    ] = "list"

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        if self.count is None and self.bytes is None and self.time is None:
            msg = "say until when records are gathered: count, bytes, time, or several of them"
            raise ValueError(msg)
        return self


class Batch(StatefulStep):
    """Gather records until there are enough, or the first has waited for long enough.

    The body of a list is the bodies in the order in which they came, and its `meta` has `step`, `count`, `first` and
    `last`: when its first and last record came. `key` is theirs, and so is the External ID if all have the same one; a
    list of different ones has none.

    What waits is kept in memory and in the recovery store, and goes on in the next run if the flow is stopped; at the
    end of the data it goes on at once.
    """

    kind = "batch"

    batch: Annotated[
        BatchOptions,
        Field(
            description="Until when records are gathered, and what goes on.",
            examples=[{"count": 100, "time": "5s"}, {"key": "customer_id", "bytes": "200KiB", "time": "1m"}],
        ),
    ]

    def keying(self) -> Keying:
        """Key and size of each record."""
        options = self.batch
        needs_json = options.bytes is not None or options.gives == "list"

        def keying(records: list[Record]) -> list[Keyed]:
            sizes = [_size(record) for record in records] if needs_json else [0] * len(records)
            keys = keys_of(options.key, records)
            return [(key, (record, (key, size))) for key, record, size in zip(keys, records, sizes, strict=True)]

        return keying

    def memory(self, state: Any | None, step: str) -> Memory[Any]:
        """The batch of the key."""
        from flowspec.stateful import batches

        options = self.batch
        time = None if options.time is None else micros(options.time)
        bounds = batches.Bounds(options.count, options.bytes, time)
        return batches.Batch(state, bounds, step if options.gives == "list" else None)

    def basis(self) -> dict[str, Any]:
        """What waits may go on by other bounds."""
        return self.batch.model_dump(mode="json", include={"key", "gives"})


def _size(record: Record) -> int:
    """Bytes of a body in a list of JSON, with the comma or bracket behind it."""
    try:
        return len(orjson.dumps(record.body, default=str, option=orjson.OPT_NON_STR_KEYS)) + 1
    except orjson.JSONEncodeError as error:
        msg = f"the body cannot be a part of a list as JSON: {error}"
        raise RecordError(msg) from error
