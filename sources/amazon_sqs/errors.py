"""What an error of boto3 means for a flow."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from flowspec.errors import FatalError, MissingDependencyError, TransientError

try:
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectionClosedError,
        ConnectTimeoutError,
        EndpointConnectionError,
        NoCredentialsError,
        NoRegionError,
        ParamValidationError,
        PartialCredentialsError,
        ProfileNotFound,
        ReadTimeoutError,
        SSLError,
    )
    from urllib3.exceptions import NameResolutionError
except ImportError:
    raise MissingDependencyError(connector="amazon-sqs", extra="sqs") from None

__all__ = ["bare", "classify", "is_passing"]

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
_NO_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"})
"""What OpenSSL calls an answer that is not TLS."""
_TRANSIENT_STATUS = frozenset({408, 429})
_FIRST_SERVER_ERROR = 500
_MISCONFIGURED = (NoCredentialsError, NoRegionError, ParamValidationError, PartialCredentialsError, ProfileNotFound)


def bare(url: str) -> str:
    """A URL without the user and password that may be in it."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


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
    place = bare(place)
    if isinstance(error, ClientError):
        return _classify_answer(error, place, {**_COMMON_HINTS, **hints})
    if isinstance(error, NoCredentialsError):
        return FatalError(
            f"{place}: no AWS credentials; give the account access_key_id and secret_access_key or a profile, "
            "or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, (BotoCoreError, OSError)) and not isinstance(error, _MISCONFIGURED):
        return TransientError(f"{place}: {_described(error)}")
    return FatalError(f"{place}: {error or repr(error)}")


def _described(error: Exception) -> str:
    """What is wrong with a connection, by the first of its causes that says it; botocore's own words hide it."""
    url = getattr(error, "kwargs", {}).get("endpoint_url") or ""
    server = urlsplit(url).netloc.rpartition("@")[2]
    causes = list(_causes(error))
    tls = "" if url.startswith("https") else "; if it is a port for TLS, write https://"
    found = {
        "the name of the server is not known here; check endpoint_url, queue_url and region": any(
            isinstance(cause, NameResolutionError) for cause in causes
        ),
        "the connection is refused: nothing listens there; check host and port": any(
            isinstance(cause, ConnectionRefusedError) for cause in causes
        ),
        "no connection in time; check host and port, firewall and routes": isinstance(error, ConnectTimeoutError),
        "connected, and no answer in time": isinstance(error, ReadTimeoutError),
        f"the connection was closed before an answer came{tls}": isinstance(error, ConnectionClosedError),
        _tls_failure(causes): isinstance(error, SSLError),
        str(causes[-1]): isinstance(error, EndpointConnectionError),
    }
    said = next((text for text, is_so in found.items() if is_so), None)
    return str(error) if said is None else f"{server}: {said}"


def _tls_failure(causes: list[BaseException]) -> str:
    found = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if isinstance(found, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not trusted: {found.verify_message}; AWS_CA_BUNDLE names a file with other authorities"
        )
    reason = "" if found is None else found.reason or ""
    if reason in _NO_TLS:
        return "what answers does not speak TLS; write http://, or the port for TLS"
    return f"TLS failed: {reason or causes[-1]}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what is behind it: botocore and urllib3 keep that in fields of their own."""
    while True:
        yield error
        kept = (getattr(error, "kwargs", {}).get("error"), getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((each for each in kept if isinstance(each, BaseException)), None)
        if inner is None:
            return
        error = inner


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
