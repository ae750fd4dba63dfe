"""The options of Parquet."""

from __future__ import annotations

import re
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field

from flowspec.model import SpecModel

__all__ = ["DECIMAL", "TYPES", "Compression", "Parquet"]

TYPES = ("string", "int32", "int64", "double", "bool", "date", "timestamp", "binary", "json")
"""The names of the types that need no parameters."""
Compression: TypeAlias = Literal["snappy", "zstd", "gzip", "none"]

DECIMAL = re.compile(r"decimal\(\s*(\d+)\s*,\s*(\d+)\s*\)")
_MOST_DIGITS = 38


def _known(name: str) -> str:
    if match := DECIMAL.fullmatch(name):
        digits, scale = int(match[1]), int(match[2])
        if not (1 <= digits <= _MOST_DIGITS and scale <= digits):
            msg = f"{name!r} has to have 1 to {_MOST_DIGITS} digits, and no more of them behind the point"
            raise ValueError(msg)
    elif name not in TYPES:
        msg = f"{name!r} is no type of a column; there are {', '.join(TYPES)} and decimal(DIGITS, SCALE)"
        raise ValueError(msg)
    return name


class Parquet(SpecModel):
    """Options of the format parquet."""

    columns: Annotated[
        dict[str, Annotated[str, AfterValidator(_known)]] | None,
        Field(
            min_length=1,
            description="The columns and their types: `string`, `int32`, `int64`, `double`, `bool`, `date`, "
            "`timestamp` (in UTC, to the microsecond), `binary`, `decimal(DIGITS, SCALE)`, and `json`, which is a text "
            "with any value. A field that is missing is null, other fields are left out. Without them they are guessed "
            "from the records of each object, so that objects may differ.",
            examples=[{"order_id": "int64", "total": "decimal(12, 2)", "placed_at": "timestamp", "lines": "json"}],
        ),
    ] = None
    compression: Annotated[
        Compression,
        Field(description="How columns are compressed.", examples=["zstd"]),
    ] = "snappy"
