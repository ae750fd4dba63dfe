"""Values of Arrow, which Parquet is read into, as JSON has them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, TypeAlias

import pyarrow as pa

from flowspec.errors import RecordError

__all__ = ["bodies"]

_Plain: TypeAlias = Callable[[Any], Any]


def bodies(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | RecordError]:
    """Each row as an object, or what is wrong with it.

    Times are texts of ISO 8601, to the microsecond, and those of UTC end with `Z`; durations are seconds; decimals are
    texts, so that they stay exact; binary values are base64. A map whose keys are texts is an object.
    """
    try:
        yield from _bodies(batch)
    except (OverflowError, ValueError):
        # A time that Python has none for.
        for place in range(batch.num_rows):
            try:
                yield from _bodies(batch.slice(place, 1))
            except (OverflowError, ValueError) as error:
                yield RecordError(f"the row cannot be decoded: {error}")


def _bodies(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    names = batch.schema.names
    columns = [_values(column) for column in batch.columns]
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _values(column: pa.Array[Any]) -> list[Any]:
    kind = _without_nanoseconds(column.type)
    if kind != column.type:
        column = column.cast(kind, safe=False)
    plain = _plain(kind)
    values = column.to_pylist()
    return values if plain is None else [None if value is None else plain(value) for value in values]


def _without_nanoseconds(kind: pa.DataType) -> pa.DataType:
    """The type that Python has values for."""
    return next((coarse(kind) for is_one, coarse in _COARSE if is_one(kind)), kind)


def _plain(kind: Any) -> _Plain | None:
    """What makes values of a type those that JSON has; None where they are already."""
    if pa.types.is_dictionary(kind):
        return _plain(kind.value_type)
    if pa.types.is_struct(kind):
        return _of_fields({field.name: plain for field in kind.fields if (plain := _plain(field.type)) is not None})
    if pa.types.is_map(kind):
        return _of_map(pa.types.is_string(kind.key_type), _plain(kind.key_type), _plain(kind.item_type))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _of_items(_plain(kind.value_type))
    return next((plain for is_one, plain in _SCALARS if is_one(kind)), None)


def _of_fields(plains: dict[str, _Plain]) -> _Plain | None:
    if not plains:
        return None

    def plain(value: dict[str, Any]) -> dict[str, Any]:
        return {
            name: plains[name](item) if name in plains and item is not None else item for name, item in value.items()
        }

    return plain


def _of_items(of_item: _Plain | None) -> _Plain | None:
    if of_item is None:
        return None
    return lambda value: [None if item is None else of_item(item) for item in value]


def _of_map(is_object: bool, of_key: _Plain | None, of_item: _Plain | None) -> _Plain:
    def plain(value: list[tuple[Any, Any]]) -> Any:
        pairs = [
            (key if of_key is None else of_key(key), item if of_item is None or item is None else of_item(item))
            for key, item in value
        ]
        return dict(pairs) if is_object else [list(pair) for pair in pairs]

    return plain


def _moment(value: datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


def _day(value: date | time) -> str:
    return value.isoformat()


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


_SCALARS: tuple[tuple[Callable[[pa.DataType], bool], _Plain], ...] = (
    (pa.types.is_timestamp, _moment),
    (pa.types.is_date, _day),
    (pa.types.is_time, _day),
    (pa.types.is_duration, _seconds),
    (pa.types.is_decimal, str),
    (pa.types.is_binary, _base64),
    (pa.types.is_large_binary, _base64),
    (pa.types.is_fixed_size_binary, _base64),
)

_COARSE: tuple[tuple[Callable[[Any], bool], Callable[[Any], pa.DataType]], ...] = (
    (pa.types.is_timestamp, lambda kind: pa.timestamp("us", kind.tz) if kind.unit == "ns" else kind),
    (pa.types.is_time64, lambda _: pa.time64("us")),
    (pa.types.is_duration, lambda kind: pa.duration("us") if kind.unit == "ns" else kind),
    (
        pa.types.is_struct,
        lambda kind: pa.struct([field.with_type(_without_nanoseconds(field.type)) for field in kind.fields]),
    ),
    (pa.types.is_map, lambda kind: pa.map_(kind.key_type, _without_nanoseconds(kind.item_type))),
    (pa.types.is_fixed_size_list, lambda kind: pa.list_(_without_nanoseconds(kind.value_type), kind.list_size)),
    (pa.types.is_large_list, lambda kind: pa.large_list(_without_nanoseconds(kind.value_type))),
    (pa.types.is_list, lambda kind: pa.list_(_without_nanoseconds(kind.value_type))),
)
