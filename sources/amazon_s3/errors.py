"""What an error of S3 means for a flow."""

from __future__ import annotations

from typing import Any

from flowspec.errors import FatalError, MissingDependencyError, TransientError

try:
    from botocore.exceptions import ClientError
except ImportError:
    raise MissingDependencyError(connector="amazon-s3", extra="s3") from None

from sources.amazon_sqs.errors import classify as _classify

__all__ = ["classify", "code_of"]

_HINTS = {
    "NoSuchBucket": "the bucket does not exist; check bucket and account",
    "AccessDenied": "access denied; the account needs s3:ListBucket and s3:GetObject to read new objects, "
    "s3:DeleteObject to delete them, s3:PutObject to put objects; with keys of KMS, kms:Decrypt and "
    "kms:GenerateDataKey as well",
    "AllAccessDisabled": "the bucket has been disabled; ask its owner",
    "AuthorizationHeaderMalformed": "the bucket is in another region; set region in the account",
    "IllegalLocationConstraintException": "the bucket is in another region; set region in the account",
    "InvalidBucketName": "check bucket",
    "PermanentRedirect": "the bucket is in another region, or its server is another; check region and endpoint_url",
}
_PASSING = frozenset({"BadDigest", "ConditionalRequestConflict", "OperationAborted", "SlowDown"})


def classify(error: Exception, place: str) -> TransientError | FatalError:
    """The error of a call about `place`, an S3 URL, sorted by whether trying again can help."""
    meaning = _classify(error, place, _HINTS)
    return TransientError(str(meaning)) if code_of(error) in _PASSING else meaning


def code_of(error: BaseException | None) -> str:
    """What S3 calls an error; an empty text where the error is none of its answers."""
    if not isinstance(error, ClientError):
        return ""
    answer: Any = error.response.get("Error", {})
    return str(answer.get("Code", ""))
