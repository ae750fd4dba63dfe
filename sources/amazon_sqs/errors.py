"""What an error of boto3 means for a flow."""

from __future__ import annotations

from collections.abc import Mapping

from flowspec.errors import FatalError, MissingDependencyError, TransientError

try:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
    )
except ImportError:
    raise MissingDependencyError(connector="amazon-sqs", extra="sqs") from None

__all__ = ["classify", "is_passing"]

_HINTS = {
    "AWS.SimpleQueueService.NonExistentQueue": "the queue does not exist; check queue_url, region and account",
    "QueueDoesNotExist": "the queue does not exist; check queue_url, region and account",
    "AccessDenied": "access denied; the account needs sqs:ReceiveMessage, sqs:DeleteMessage, "
    "sqs:ChangeMessageVisibility and sqs:GetQueueAttributes to listen, sqs:SendMessage to send",
}
_COMMON_HINTS = {
    "ExpiredToken": "the session token has expired; renew it, or use role_arn or a profile",
    "InvalidAccessKeyId": "the access key is not known; check access_key_id",
    "InvalidClientTokenId": "the access key is not known; check access_key_id",
    "SignatureDoesNotMatch": "the signature does not match; check secret_access_key",
    "RequestExpired": "the request has expired; check this machine's clock",
    "RequestTimeTooSkewed": "the request has expired; check this machine's clock",
}
_TRANSIENT_CODES = frozenset(
    {"OverLimit", "QueueDeletedRecently", "RequestThrottled", "RequestTimeout", "KmsThrottled", "InternalError"}
)
_ROLE_HINT = "the role cannot be assumed; check role_arn, its trust policy, and the credentials that assume it"
_TRANSIENT_STATUS = frozenset({408, 429})
_FIRST_SERVER_ERROR = 500
_MISCONFIGURED = (NoCredentialsError, NoRegionError, ParamValidationError, PartialCredentialsError, ProfileNotFound)


def is_passing(code: str) -> bool:
    """Whether what SQS calls `code` passes by itself, even where SQS says that it is the sender's fault."""
    return code in _TRANSIENT_CODES or "Throttl" in code


def classify(error: Exception, place: str, hints: Mapping[str, str] = _HINTS) -> TransientError | FatalError:
    """The error of a call about `place`, sorted by whether trying again can help.

    Args:
        error: What boto3 raised.
        place: The URL of the queue, or what another service has in its place.
        hints: What to do about errors, by the beginning of their codes, beside those that all services have.
    """
    if isinstance(error, ClientError):
        return _classify_answer(error, place, {**_COMMON_HINTS, **hints})
    if isinstance(error, NoCredentialsError):
        return FatalError(
            f"{place}: no AWS credentials; give the account access_key_id and secret_access_key or a profile, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, _MISCONFIGURED):
        return TransientError(f"{place}: {error}")
    return FatalError(f"{place}: {error or repr(error)}")


def _classify_answer(error: ClientError, place: str, hints: Mapping[str, str]) -> TransientError | FatalError:
    answer = error.response.get("Error", {})
    code = answer.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    # What is no answer of the service itself, like the page of a proxy, has no code.
    text = f"{place}: {error.operation_name}: {code or f'HTTP {status}'}: {answer.get('Message') or 'no message'}"
    if is_passing(code) or status in _TRANSIENT_STATUS or status >= _FIRST_SERVER_ERROR:
        return TransientError(text)
    hint = next((hint for known, hint in hints.items() if code.startswith(known)), None)
    if error.operation_name == "AssumeRole" and code.startswith("AccessDenied"):
        hint = _ROLE_HINT
    return FatalError(f"{text} ({hint})" if hint else text)
