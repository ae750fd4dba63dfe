"""The key of a record: a text, the same for values that are equal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import orjson

from flowspec.errors import RecordError

if TYPE_CHECKING:
    from flowspec.expressions import Expression
    from flowspec.records import Record
    from flowspec.stateful.contract import Keyed, Keying

__all__ = ["by_key", "key_of", "keyed", "keys_of"]

_LONGEST = 1_000


def by_key(key: Expression | None) -> Keying:
    """The function that gives each record its key, and nothing else."""
    return lambda records: keyed(key, records)


def keyed(key: Expression | None, records: Sequence[Record], value: Any = None) -> list[Keyed]:
    """A batch with its keys, and with a value that is the same for all.

    Raises:
        RecordError: of the first record that has no key.
    """
    return [(text, (record, value)) for text, record in zip(keys_of(key, records), records, strict=True)]


def keys_of(key: Expression | None, records: Sequence[Record]) -> list[str]:
    """The keys of a batch; without an expression all have the same.

    Raises:
        RecordError: of the first record that has none.
    """
    return [""] * len(records) if key is None else [key_of(value) for value in key.values(records)]


def key_of(value: Any) -> str:
    """The text of a value: a text is itself, and others are not mistaken for one by chance only.

    Raises:
        RecordError: it cannot be a key.
    """
    if type(value) is str:
        text = value
    elif value is None:
        msg = "the key is null; let a filter drop such records before, or give them one with coalesce(...)"
        raise RecordError(msg)
    elif isinstance(value, (int, float, Decimal, datetime)):
        # 7 and 7.0 are equal.
        text = str(int(value)) if not isinstance(value, datetime) and value == value // 1 else str(value)
    else:
        try:
            text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=str).decode()
        except orjson.JSONEncodeError as error:
            msg = f"the key cannot be a {type(value).__name__}"
            raise RecordError(msg) from error
    if len(text) > _LONGEST:
        msg = f"the key has {len(text):,} characters, and {_LONGEST:,} are allowed; take a part of it, or a hash"
        raise RecordError(msg)
    return text
