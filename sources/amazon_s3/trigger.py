"""amazon-s3 / new-objects: records of the objects that appear in a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from flowspec.fields import WholeSeconds
from flowspec.polling import Poller, PollingTrigger
from sources.amazon_s3.fields import BucketName
from sources.amazon_s3.progress import Order, beginning
from sources.amazon_sqs.account import AwsAccountField
from sources.contents import MAX_ROW, Compression, FormatField, MaxRowField

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext

__all__ = ["NewObjects"]

_LAGS: dict[Order, int] = {"modified": 3600, "key": 0}
"""Seconds; the first is long enough for the upload of what is large."""


class NewObjects(PollingTrigger):
    """New Objects: the records in the objects that appear in a bucket, each object once.

    At-least-once. Objects are streamed, not loaded; one that is half read when the flow ends is read on behind the last
    record that was delivered. One that is replaced while it is read is read anew from its beginning.

    With order `modified`, the prefix is listed as a whole in each poll, a thousand objects with a call, and objects
    that are replaced come again. Remembered is each object that was modified within the last `lag`, with about twenty
    bytes, however many there are. With order `key`, only what is behind the last key is listed: for names that grow,
    like `2024/05/01/10-00-00.jsonl`. An object whose key sorts before the last one that was read is never seen then.
    """

    identified_by = ("bucket", "key", "etag", "modified_at", "row")

    connector: Annotated[Literal["amazon-s3"], Field(description="Amazon S3.", examples=["amazon-s3"])] = "amazon-s3"
    event: Annotated[Literal["new-objects"], Field(description="Objects that appear.", examples=["new-objects"])] = (
        "new-objects"
    )
    account: AwsAccountField = None
    bucket: BucketName
    prefix: Annotated[
        str, Field(description="How the keys of the objects begin; by default anyhow.", examples=["orders/2024/"])
    ] = ""
    suffix: Annotated[
        str, Field(description="How the keys of the objects end; others are passed over.", examples=[".jsonl.gz"])
    ] = ""
    order: Annotated[
        Order,
        Field(
            description="What makes an object new: that it was `modified` since, or that its `key` is behind all that "
            "were read.",
            examples=["key"],
        ),
    ] = "modified"
    lag: Annotated[
        WholeSeconds | None,
        Field(
            ge=0,
            le=604_800,
            description="How much later an object may appear than S3 says that it was modified, which for a multipart "
            "upload is when it began. With order `modified` such an object is still found; by default `1h`. With order "
            "`key` nothing is read before it is that old, so that an object with a smaller key may come until then; by "
            "default 0.",
            examples=["10m"],
        ),
    ] = None
    format: FormatField = "json-lines"
    compression: Compression = "auto"
    max_row: MaxRowField = MAX_ROW
    after: Annotated[
        Literal["keep", "delete"],
        Field(
            description="What becomes of an object when all of its records are delivered. One that was replaced "
            "meanwhile is not deleted.",
            examples=["delete"],
        ),
    ] = "keep"
    readers: Annotated[
        int,
        Field(
            ge=1,
            le=64,
            description="Objects of up to 1 MiB that are read at the same time, to hide network latency; larger ones "
            "are streamed one after the other.",
            examples=[16],
        ),
    ] = 8
    since: Annotated[
        Any,
        Field(
            description="Where a flow begins that has no saved cursor: at the `beginning`, with what is modified from "
            "`now` on, or from a time on; with order `key`, instead of a time, behind a key.",
            examples=["now", "2024-05-01T00:00:00Z"],
        ),
    ] = "beginning"

    @model_validator(mode="after")
    def _since_is_something_to_begin_at(self) -> NewObjects:
        beginning(self.order, self.since)
        return self

    @property
    def window(self) -> int:
        """The `lag`, in seconds."""
        return _LAGS[self.order] if self.lag is None else self.lag

    def cursor_basis(self) -> dict[str, Any]:
        """A cursor is good for one prefix, in one order."""
        return {"bucket": self.bucket, "prefix": self.prefix, "order": self.order}

    def check(self) -> str:
        """See that the bucket is there and may be listed, and that one of its objects may be looked at."""
        from sources.amazon_s3.checking import check_objects

        return check_objects(self)

    def poller(self, since: Any, context: WorkerContext) -> Poller:
        """What lists the bucket; nothing is connected yet."""
        from sources.amazon_s3.poller import ObjectPoller

        return ObjectPoller(self, since)
