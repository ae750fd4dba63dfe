"""Encoding whole batches."""

from __future__ import annotations

from collections.abc import Sequence

from flowspec.errors import RecordError
from flowspec.formats.contract import Encoder
from flowspec.records import Failure, Record

__all__ = ["encode_all"]


def encode_all(records: Sequence[Record], encode: Encoder) -> tuple[Sequence[Record], list[bytes], list[Failure]]:
    """Encode a batch: the records that could be encoded, their payloads beside them, and the others.

    Raises:
        TransientError: the encoder cannot encode any at present.
        FatalError: it never will.
    """
    try:
        return records, [encode(record.body) for record in records], []
    except (RecordError, TypeError, ValueError):
        good: list[Record] = []
        payloads: list[bytes] = []
        failures: list[Failure] = []
        for record in records:
            try:
                payloads.append(encode(record.body))
                good.append(record)
            except (RecordError, TypeError, ValueError) as error:
                # What orjson was told about a value is the cause of what it says.
                reason = error.__cause__ if isinstance(error.__cause__, RecordError) else error
                failures.append(Failure(record, RecordError(f"body cannot be encoded: {reason}")))
        return good, payloads, failures
