"""What an error of boto3 means for a flow."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from flowspec.errors import FatalError, TransientError

__all__ = ["classify", "is_passing"]

_HINTS = {
    "AWS.SimpleQueueService.NonExistentQueue": "the queue does not exist; check queue_url, region and account",
    "QueueDoesNotExist": "the queue does not exist; check queue_url, region and account",
    "AccessDenied": "access denied; the account needs sqs:ReceiveMessage, sqs:DeleteMessage, "
    "sqs:ChangeMessageVisibility and sqs:GetQueueAttributes to listen, sqs:SendMessage to send",
    "ExpiredToken": "the session token has expired; renew it, or use role_arn or a profile",
    "InvalidClientTokenId": "the access key is not known; check access_key_id",
    "SignatureDoesNotMatch": "the signature does not match; check secret_access_key",
    "RequestExpired": "the request has expired; check this machine's clock",
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


def classify(error: Exception, url: str) -> TransientError | FatalError:
    """The error of a call to the queue at `url`, sorted by whether trying again can help."""
    if isinstance(error, ClientError):
        return _classify_answer(error, url)
    if isinstance(error, NoCredentialsError):
        return FatalError(
            f"{url}: no AWS credentials; give the account access_key_id and secret_access_key or a profile, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, _MISCONFIGURED):
        return TransientError(f"{url}: {error}")
    return FatalError(f"{url}: {error or repr(error)}")


def _classify_answer(error: ClientError, url: str) -> TransientError | FatalError:
    answer = error.response.get("Error", {})
    code = answer.get("Code", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    text = f"{url}: {error.operation_name}: {code}: {answer.get('Message') or 'no message'}"
    if is_passing(code) or status in _TRANSIENT_STATUS or status >= _FIRST_SERVER_ERROR:
        return TransientError(text)
    hint = next((hint for known, hint in _HINTS.items() if code.startswith(known)), None)
    if error.operation_name == "AssumeRole" and code.startswith("AccessDenied"):
        hint = _ROLE_HINT
    return FatalError(f"{text} ({hint})" if hint else text)
