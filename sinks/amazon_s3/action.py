"""amazon-s3 / put-objects: records as objects of a bucket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from flowspec.connectors import Action, WorkerContext
from flowspec.expressions import Template
from flowspec.fields import ByteSize
from sinks.amazon_s3.formats import ObjectFormatField
from sinks.amazon_s3.names import BATCH
from sources.amazon_s3.fields import BucketName
from sources.amazon_sqs.account import AwsAccountField

if TYPE_CHECKING:
    from sinks.amazon_s3.writer import ObjectWriter

__all__ = ["PutObjects"]


class PutObjects(Action):
    """Put Objects: the records of a batch become an object of a bucket, or one for each name that they ask for.

    At-least-once. A batch is what the flow hands over, of at most the trigger's `batch_size`; it counts as delivered
    when its objects are there, so nothing is held back for a later batch. A batch that comes again as it was, after a
    crash, gets the same names, and replaces itself. One that is cut otherwise then, because a trigger has no order or
    more records had come by that time, has names of its own, and its records are there twice. Records that differ in
    nothing, neither in payload and headers nor in what the trigger says about where they are from, count as the same.
    """

    connector: Annotated[Literal["amazon-s3"], Field(description="Amazon S3.", examples=["amazon-s3"])] = "amazon-s3"
    action: Annotated[Literal["put-objects"], Field(description="Write objects.", examples=["put-objects"])] = (
        "put-objects"
    )
    account: AwsAccountField = None
    bucket: BucketName
    name: Annotated[
        Template | None,
        Field(
            description="Key of the objects. `{batch}` stands for the records of an object, as 32 hexadecimal digits "
            "that are the same when they come again: a digest of their payloads, keys, headers, External IDs and of "
            "where they came from. All else is asked of each record; those that answer the same are in one object. "
            "Behind a `{batch}` at the end the extension of the format is added. By default `{batch}`. "
            "Without `{batch}`, which needs `max_records` 1, each record replaces the object that has its name.",
            examples=["orders/{status}/{placed_at[:10]}/{batch}", "customers/{id}.json"],
        ),
    ] = None
    format: ObjectFormatField = "json-lines"
    gzip: Annotated[
        bool,
        Field(description="Whether objects are compressed; Parquet compresses by itself.", examples=[True]),
    ] = False
    max_records: Annotated[
        int,
        Field(ge=1, description="The most records of an object; a larger batch makes several.", examples=[10_000]),
    ] = 10_000
    max_bytes: Annotated[
        ByteSize,
        Field(
            ge=1,
            le=4 * 1024**3,
            description="About how large an object may be before it is compressed; a larger batch makes several.",
            examples=["100MB"],
        ),
    ] = 64 * 1024 * 1024
    senders: Annotated[
        int,
        Field(ge=1, le=64, description="Objects that are written at the same time.", examples=[4]),
    ] = 4

    @model_validator(mode="after")
    def _each_batch_has_names_of_its_own(self) -> PutObjects:
        if self.name is not None and BATCH not in self.name.source and self.max_records > 1:
            msg = (
                f"a name without {BATCH} is the same for every batch, which would replace the one before; add it, or "
                "set max_records to 1 to have each record replace the object that has its name"
            )
            raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _compressed_once(self) -> PutObjects:
        form = self.format if isinstance(self.format, str) else self.format.name()
        if self.gzip and form == "parquet":
            msg = "Parquet compresses by itself; leave gzip out, or set the option compression of the format"
            raise ValueError(msg)
        return self

    def check(self) -> str:
        """See that the bucket is there; whether it may be written cannot be known without writing."""
        from sinks.amazon_s3.checking import check_bucket

        return check_bucket(self)

    def open(self, context: WorkerContext) -> ObjectWriter:
        """A client that connects with the first batch."""
        from sinks.amazon_s3.writer import ObjectWriter

        return ObjectWriter(self)
