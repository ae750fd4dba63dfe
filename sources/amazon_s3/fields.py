"""Fields of specs that trigger and sink share."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

__all__ = ["BucketName"]

BucketName: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^(?:[a-zA-Z0-9][a-zA-Z0-9._-]{1,253}[a-zA-Z0-9]|arn:[a-z0-9-]+:s3.+)$",
        description="Name of the bucket, or ARN of an access point.",
        examples=["acme-orders"],
    ),
]
"""The `bucket` of a trigger or sink."""
