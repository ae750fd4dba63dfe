"""The names of objects: a batch that comes again gets the name that it had."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from flowspec.errors import RecordError
from flowspec.expressions import Template
from flowspec.records import Record

__all__ = ["BATCH", "Names"]

BATCH = "{batch}"
"""What stands in a name for the records of the object."""
_MOST_BYTES = 1024
"""Of a key. Source: "Naming Amazon S3 objects" in the user guide."""
_VARYING = frozenset({"assignment", "delivery_count", "receive_count", "redelivered"})
_VARYING_HEADERS = frozenset({"x-acquired-count", "x-delivery-count"})
"""What triggers say of a record that is another thing when the same record comes again."""


class Names:
    """Makes the names that a template asks for."""

    def __init__(self, name: Template | None, extension: str) -> None:
        """Names as `name` asks for, by default only what stands for the records.

        Where that is at the end of a name, `extension` is added.
        """
        source = BATCH if name is None else name.source
        # A record has nothing of that name: it is put in later.
        self._template = Template(source.replace(BATCH, f"{{{BATCH}}}"))
        self._extension = extension if source.endswith(BATCH) else ""

    def patterns(self, records: Sequence[Record]) -> list[str | RecordError]:
        """What the names of records' objects are made of: records that have the same may be in one object.

        In place of that of a record that has none, it is what is wrong with it.
        """
        try:
            texts: list[str | RecordError] = list(self._template.values(records))
        except RecordError:
            texts = [self._text(record) for record in records]
        return [text if isinstance(text, RecordError) else self._checked(text + self._extension) for text in texts]

    def _text(self, record: Record) -> str | RecordError:
        try:
            return self._template.value(record)
        except RecordError as error:
            return error

    def _checked(self, pattern: str) -> str | RecordError:
        size = len(self.name(pattern, []).encode("utf-8", "surrogatepass"))
        if 0 < size <= _MOST_BYTES:
            return pattern
        return RecordError(f"the name of an object must have 1 to {_MOST_BYTES} bytes, not {size}: {pattern[:100]!r}")

    def name(self, pattern: str, records: Sequence[Record], before: int = 0) -> str:
        """The name of an object that has `records`, when as many before it have records that cannot be told apart."""
        return pattern.replace(BATCH, _identity(records, before)) if BATCH in pattern else pattern


def _identity(records: Sequence[Record], before: int) -> str:
    """A name for records in this order; the same when they come again, whatever the steps make of them by then."""
    digest = blake2b(before.to_bytes(8, "big"), digest_size=16)
    for record in records:
        raw = record.raw.encode("utf-8", "surrogatepass") if isinstance(record.raw, str) else record.raw
        meta = [(name, value) for name, value in record.meta.items() if name not in _VARYING]
        headers = [(name, value) for name, value in record.headers.items() if name not in _VARYING_HEADERS]
        # All that a trigger says of a record has a `repr` that is the same in each process.
        origin = repr((record.external_id, record.key, meta, headers)).encode("utf-8", "backslashreplace")
        for part in (raw, origin):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()
