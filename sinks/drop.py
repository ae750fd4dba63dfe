"""drop: counts records and lets them go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from flowspec.connectors import Action, WorkerContext
from flowspec.formats import Encoder, Format, encode_all, encoder
from flowspec.records import Failure, Record

__all__ = ["Drop"]


class Drop(Action):
    """Drop: counts records as delivered and lets them go; to measure a flow, or to drain a queue on purpose."""

    connector: Annotated[Literal["drop"], Field(description="Nowhere.", examples=["drop"])] = "drop"
    action: Annotated[Literal["drop"], Field(description="Let records go.", examples=["drop"])] = "drop"
    account: Annotated[None, Field(description="Nothing to connect to.", examples=[None])] = None
    format: Annotated[
        Format | None,
        Field(description="Encode each record before it is dropped; by default it is not.", examples=["json"]),
    ] = None

    def open(self, context: WorkerContext) -> _Dropper:
        """Nothing is opened."""
        return _Dropper(None if self.format is None else encoder(self.format))


class _Dropper:
    def __init__(self, encode: Encoder | None) -> None:
        self._encode = encode

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        if self._encode is None:
            return ()
        _, _, failures = encode_all(records, self._encode)
        return failures

    def close(self) -> None:
        """Nothing is open."""
