"""What can be known of a bucket before anything is written."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from flowspec.errors import FatalError
from sinks.amazon_s3.formats import object_format
from sources.amazon_s3.bucket import Bucket
from sources.amazon_s3.checking import PATIENCE
from sources.amazon_s3.errors import code_of
from sources.amazon_sqs.account import AwsAccount

if TYPE_CHECKING:
    from sinks.amazon_s3.action import PutObjects

__all__ = ["check_bucket"]


def check_bucket(action: PutObjects) -> str:
    """See that the bucket is there.

    Raises:
        TransientError: it cannot be reached at present.
        FatalError: it is not there, or the account is refused.
        MissingDependencyError: the format needs a package that is not installed.
    """
    object_format(action.format).encode([])
    with closing(Bucket(AwsAccount.of(action.account), action.bucket, 1, PATIENCE)) as bucket:
        try:
            bucket.list("", "")
        except FatalError as error:
            # Whoever puts objects need not be allowed to list them.
            if code_of(error.__cause__) != "AccessDenied":
                raise
            return f"{bucket.url} must not be listed, so whether it is there, and may be written, was not checked"
        return f"{bucket.url} is there; whether it may be written was not checked"
