"""Writes batches as objects."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowspec.errors import FatalError, RecordError, TransientError
from flowspec.records import Failure, Record
from sinks.amazon_s3.formats import Encoded, object_format
from sinks.amazon_s3.names import BATCH, Names
from sources.amazon_s3.bucket import Bucket
from sources.amazon_s3.errors import code_of
from sources.amazon_sqs.account import AwsAccount

if TYPE_CHECKING:
    from sinks.amazon_s3.action import PutObjects

__all__ = ["ObjectWriter"]

_OBJECT_CODES = frozenset({"EntityTooLarge", "InvalidURI", "KeyTooLongError", "XMinioInvalidObjectName"})
"""What a server refuses one object for, and not all of them."""


@dataclass(frozen=True)
class _Object:
    """One object that is to be written."""

    key: str
    encoded: Encoded
    part: slice
    superseded: Sequence[Record] = ()
    """Records before its own that asked for the same name."""

    @property
    def records(self) -> list[Record]:
        """The records that are delivered with it."""
        return [*self.superseded, *self.encoded.records[self.part]]


class ObjectWriter:
    """Writes the objects of a batch, several at the same time; it returns when all of them are there."""

    def __init__(self, action: PutObjects) -> None:
        self._bucket = Bucket(AwsAccount.of(action.account), action.bucket, action.senders)
        self._format = object_format(action.format)
        # A package that is missing is said now, not with the first batch.
        self._format.encode([])
        self._names = Names(action.name, self._format.extension + (".gz" if action.gzip else ""))
        self._content_type = "application/gzip" if action.gzip else self._format.content_type
        self._action = action
        self._pool = ThreadPoolExecutor(action.senders, "s3-sender")

    def write(self, records: Sequence[Record]) -> Sequence[Failure]:
        """Write records, those of each name in order."""
        failures: list[Failure] = []
        groups: dict[str, list[Record]] = {}
        for record, pattern in zip(records, self._names.patterns(records), strict=True):
            if isinstance(pattern, RecordError):
                failures.append(Failure(record, pattern))
            else:
                groups.setdefault(pattern, []).append(record)
        objects: dict[str, _Object] = {}
        for pattern, group in groups.items():
            encoded = self._format.encode(group)
            failures += encoded.failures
            for part in self._parts(encoded):
                self._add(objects, pattern, encoded, part)
        for failed in self._pool.map(self._put, objects.values()):
            failures += failed
        return failures

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown()
        self._bucket.close()

    def _add(self, objects: dict[str, _Object], pattern: str, encoded: Encoded, part: slice) -> None:
        records = encoded.records[part]
        key = self._names.name(pattern, records)
        if BATCH in pattern:
            twins = 0
            while key in objects:
                twins += 1
                key = self._names.name(pattern, records, twins)
        superseded = objects[key].records if key in objects else ()
        objects[key] = _Object(key, encoded, part, superseded)

    def _parts(self, encoded: Encoded) -> Iterator[slice]:
        """What of the records each object has, in their order."""
        start = size = 0
        for place, more in enumerate(encoded.sizes):
            is_full = place - start == self._action.max_records or size + more > self._action.max_bytes
            if place > start and is_full:
                yield slice(start, place)
                start, size = place, 0
            size += more
        if encoded.sizes:
            yield slice(start, len(encoded.sizes))

    def _put(self, each: _Object) -> list[Failure]:
        """Write one object; answers its records where it could not be."""
        try:
            content = each.encoded.content(each.part)
            if self._action.gzip:
                # Without the time, so that the same records make the same bytes.
                content = gzip.compress(content, 6, mtime=0)
            self._bucket.put(each.key, content, self._content_type)
        except (TransientError, RecordError) as error:
            return [Failure(record, error) for record in each.records]
        except FatalError as error:
            if code_of(error.__cause__) not in _OBJECT_CODES:
                raise
            return [Failure(record, RecordError(str(error))) for record in each.records]
        return []
