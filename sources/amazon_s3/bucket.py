"""The calls of one bucket."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from flowspec.errors import FatalError, TransientError
from sources.amazon_s3.errors import classify, code_of

if TYPE_CHECKING:
    from sources.amazon_sqs.account import AwsAccount

__all__ = ["ArchivedError", "Body", "Bucket", "ChangedError", "Listing", "Stored"]

_READ_TIMEOUT = 10
"""Seconds without a byte after which an answer counts as lost; a poll that is cancelled may go on for so long."""
_ABSENT = frozenset({"404", "NoSuchKey"})
_CHANGED = frozenset({"412", "PreconditionFailed"})
_ARCHIVED = "InvalidObjectState"


class ChangedError(Exception):
    """An object is not there any more, or is another one by now."""


class ArchivedError(Exception):
    """An object is in an archive, and cannot be read before it is restored."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object, as a listing has it."""

    key: str
    etag: str
    size: int
    modified: datetime

    @property
    def second(self) -> int:
        """When it was modified, in whole seconds since the epoch: not every answer says more."""
        return int(self.modified.timestamp())


@dataclass(frozen=True)
class Listing:
    """Some objects of a bucket, in the order of their keys."""

    objects: list[Stored]
    more: bool
    """Whether more follow."""
    at: datetime
    """The server's time."""


class Bucket:
    """One bucket through one client; safe to use from any thread.

    Every method raises `TransientError` or `FatalError`, never an exception of boto3. What reads can be cancelled.
    """

    def __init__(self, account: AwsAccount, name: str, connections: int, read_timeout: int = _READ_TIMEOUT) -> None:
        # What speaks the protocol and is not Amazon's may not know the checksums that boto3 adds unasked.
        plain: dict[str, Any] = {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        self._client = account.client(
            "s3",
            connections=connections,
            read_timeout=read_timeout,
            **(plain if account.endpoint_url else {}),
        )
        self.name = name
        self._cancelled = threading.Event()
        self.url = f"s3://{name}"

    def list(self, prefix: str, after: str) -> Listing:
        """The next objects behind the key `after`, a thousand at most."""
        start = {"StartAfter": after} if after else {}
        with self.cancellable(prefix):
            answer = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, **start)
        date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        return Listing(
            [
                Stored(found["Key"], found["ETag"], found["Size"], found["LastModified"])
                for found in answer.get("Contents", ())
            ],
            bool(answer.get("IsTruncated")),
            parsedate_to_datetime(date) if date else datetime.now(timezone.utc),
        )

    def open(self, stored: Stored, offset: int = 0, until: int | None = None) -> Body:
        """Read an object from a byte on, up to before the byte `until`, or to its end.

        Raises:
            ChangedError: it is not there any more, or has another ETag.
            ArchivedError: it has to be restored first.
        """
        options: dict[str, Any] = {}
        if offset or until is not None:
            options["Range"] = f"bytes={offset}-" + ("" if until is None else str(until - 1))
        try:
            with self.cancellable(stored.key):
                answer = self._client.get_object(Bucket=self.name, Key=stored.key, IfMatch=stored.etag, **options)
        except FatalError as error:
            code = code_of(error.__cause__)
            if code in _ABSENT or code in _CHANGED:
                raise ChangedError(str(error)) from error
            if code == _ARCHIVED:
                raise ArchivedError(str(error)) from error
            raise
        return Body(self, stored.key, answer)

    def find(self, key: str) -> Stored | None:
        """An object as it is now; None where it is not there."""
        try:
            with self._translated(key):
                answer = self._client.head_object(Bucket=self.name, Key=key)
        except FatalError as error:
            if code_of(error.__cause__) in _ABSENT:
                return None
            raise
        return Stored(key, answer["ETag"], answer["ContentLength"], answer["LastModified"])

    def put(self, key: str, content: bytes, content_type: str) -> None:
        """Store an object, in place of one that has its key."""
        with self._translated(key):
            self._client.put_object(Bucket=self.name, Key=key, Body=content, ContentType=content_type)

    def delete(self, key: str) -> None:
        """Delete an object, if it is there."""
        with self._translated(key):
            self._client.delete_object(Bucket=self.name, Key=key)

    def cancel(self) -> None:
        """Have calls that read fail from now on, those under way as soon as they hear from the server."""
        self._cancelled.set()

    def resume(self) -> None:
        """Have them succeed again."""
        self._cancelled.clear()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def cancellable(self, key: str) -> Iterator[None]:
        """What is done in the block is of no use once calls are cancelled."""
        self._check()
        with self._translated(key):
            yield
        self._check()

    def _check(self) -> None:
        if self._cancelled.is_set():
            msg = f"{self.url}: the call was cancelled"
            raise TransientError(msg)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (TransientError, FatalError):
            raise
        except Exception as error:
            raise classify(error, f"{self.url}/{key}") from error


class Body:
    """The bytes of an object, as they come from the server."""

    def __init__(self, bucket: Bucket, key: str, answer: Mapping[str, Any]) -> None:
        self._bucket = bucket
        self._key = key
        self._stream = answer["Body"]
        self.metadata = {name: _decoded(value) for name, value in answer.get("Metadata", {}).items()}
        """What its writer attached to it."""

    def read(self, size: int | None = None) -> bytes:
        """At most `size` bytes, and none at the end only; without a size all that is left."""
        with self._bucket.cancellable(self._key):
            data: bytes = self._stream.read(size)
        return data

    def close(self) -> None:
        """Give up what was not read."""
        self._stream.close()


def _decoded(value: str) -> str:
    """A value of metadata, which HTTP has in ASCII: S3 writes other characters as mail does (RFC 2047)."""
    return str(make_header(decode_header(value))) if "=?" in value else value
