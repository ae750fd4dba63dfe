"""Records as a table of Arrow, and that as Parquet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timezone
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import Any, TypeAlias

from flowspec.errors import MissingDependencyError, RecordError
from flowspec.formats.plain import encode_json
from flowspec.records import Failure, Record
from sinks.amazon_s3.parquet import DECIMAL, Compression

try:
    import pyarrow as pa
    import pyarrow.parquet as pq
except ImportError:
    raise MissingDependencyError(connector="parquet", extra="parquet") from None

__all__ = ["to_table", "written"]

_Convert: TypeAlias = Callable[[Any], Any]
_UNFIT = (pa.ArrowException, RecordError, OverflowError, TypeError, ValueError)


def to_table(
    records: Sequence[Record], columns: Mapping[str, str] | None
) -> tuple[Sequence[Record], pa.Table, list[Failure]]:
    """The records that fit, their table, a row for each, and the others.

    Args:
        records: What has objects as bodies.
        columns: The columns, each with its type; None to guess them.
    """
    good = [record for record in records if isinstance(record.body, Mapping)]
    failures = [
        Failure(record, RecordError(f"format 'parquet' needs an object as body, not {type(record.body).__name__}"))
        for record in records
        if not isinstance(record.body, Mapping)
    ]
    names = dict.fromkeys(name for record in good for name in record.body) if columns is None else columns
    while True:
        arrays: dict[str, pa.Array[Any]] = {}
        unfit: dict[int, RecordError] = {}
        for name in names:
            kind, convert = (None, None) if columns is None else _type(columns[name])
            values = [record.body.get(name) for record in good]
            try:
                arrays[str(name)] = _array(values, kind, convert)
            except _UNFIT:
                unfit |= _unfit(str(name), values, kind, convert)
        if not unfit:
            return good, pa.table(arrays), failures
        failures += [Failure(good[place], error) for place, error in unfit.items()]
        good = [record for place, record in enumerate(good) if place not in unfit]


def written(table: pa.Table, compression: Compression) -> bytes:
    """A table as Parquet.

    Raises:
        RecordError: it has a column that Parquet does not hold.
    """
    file = BytesIO()
    try:
        pq.write_table(table, file, compression=compression)
    except pa.ArrowException as error:
        msg = f"the records cannot be written as parquet: {error}"
        raise RecordError(msg) from error
    return file.getvalue()


def _array(values: Sequence[Any], kind: pa.DataType | None, convert: _Convert | None) -> pa.Array[Any]:
    if convert is not None:
        values = [None if value is None else convert(value) for value in values]
    return pa.array(values, type=kind)


def _unfit(
    name: str, values: Sequence[Any], kind: pa.DataType | None, convert: _Convert | None
) -> dict[int, RecordError]:
    """What of a column's values is not of its type, or of that of the first one where it has none."""
    found: dict[int, RecordError] = {}
    for place, value in enumerate(values):
        try:
            array = _array([value], kind, convert)
        except _UNFIT as error:
            found[place] = RecordError(f"column {name!r}: {error}")
        else:
            kind = array.type if kind is None and value is not None else kind
    return found


def _type(name: str) -> tuple[pa.DataType, _Convert | None]:
    """The type of a column, and what makes its values of those that JSON has."""
    if match := DECIMAL.fullmatch(name):
        return pa.decimal128(int(match[1]), int(match[2])), _decimal
    return _TYPES[name]


def _decimal(value: Any) -> Decimal:
    try:
        return value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        msg = f"{value!r} is not a number"
        raise RecordError(msg) from None


def _date(value: Any) -> date:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _timestamp(value: Any) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value[:-1] + "+00:00" if value[-1:] in "Zz" else value)
    if not isinstance(value, datetime):
        msg = f"{value!r} is not a time like '2024-01-31T10:00:00Z'"
        raise RecordError(msg)
    return value if value.tzinfo else value.replace(tzinfo=timezone.utc)


def _json(value: Any) -> str:
    return encode_json(value).decode()


_TYPES: dict[str, tuple[pa.DataType, _Convert | None]] = {
    "string": (pa.string(), None),
    "int32": (pa.int32(), None),
    "int64": (pa.int64(), None),
    "double": (pa.float64(), None),
    "bool": (pa.bool_(), None),
    "date": (pa.date32(), _date),
    "timestamp": (pa.timestamp("us", "UTC"), _timestamp),
    "binary": (pa.binary(), None),
    "json": (pa.string(), _json),
}
