"""What can be known of a bucket before anything is read or written."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from sources.amazon_s3.bucket import Bucket
from sources.amazon_sqs.account import AwsAccount

if TYPE_CHECKING:
    from sources.amazon_s3.trigger import NewObjects

__all__ = ["PATIENCE", "check_objects"]

PATIENCE = 3
"""Seconds that an answer may take, which is waited for twice."""


def check_objects(trigger: NewObjects) -> str:
    """See that the bucket may be listed, and that an object in it may be looked at.

    Raises:
        TransientError: it cannot be reached at present.
        FatalError: it is not there, or something is not allowed.
    """
    with closing(Bucket(AwsAccount.of(trigger.account), trigger.bucket, 1, PATIENCE)) as bucket:
        place = f"{bucket.url}/{trigger.prefix}"
        listing = bucket.list(trigger.prefix, "")
        first = next((stored for stored in listing.objects if stored.key.endswith(trigger.suffix)), None)
        if first is None:
            more = " among the first thousand" if listing.more else ""
            said = f"{place} can be listed, and has no objects to read{more}: whether they may be read was not checked"
        else:
            bucket.find(first.key)
            number = "more than 1,000" if listing.more else f"{len(listing.objects):,}"
            said = f"{place} can be listed and read; objects there: {number}"
        return said if trigger.after == "keep" else f"{said}; whether they may be deleted was not checked"
