"""What is there when nothing is to be changed: an account, and a queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowspec.errors import FatalError

if TYPE_CHECKING:
    from sources.amazon_sqs.account import AwsAccount

__all__ = ["BRIEFLY", "check_account", "check_queue", "queue_attributes"]

BRIEFLY: Mapping[str, Any] = {"connect_timeout": 3, "read_timeout": 4, "retries": {"total_max_attempts": 1}}
"""Options of a client whose calls somebody waits for."""
_REFUSED = ("ExpiredToken", "InvalidAccessKeyId", "InvalidClientTokenId", "SignatureDoesNotMatch", "RequestExpired")
"""What a server answers that knows what was asked for, and not who asks."""
_ATTRIBUTES = "GetQueueAttributes"


def check_account(account: AwsAccount) -> str:
    """Whose credentials these are; without STS, which of the services that are used here answers to them.

    Raises:
        TransientError: the server cannot be reached at present.
        FatalError: the credentials are refused, or no service answers that is known here.
    """
    from sources.amazon_sqs.errors import bare

    where = f" at {bare(account.endpoint_url)}" if account.endpoint_url else ""
    identity = _asked(account, "sts", lambda client: client.get_caller_identity())
    if isinstance(identity, dict):
        return f"AWS account {identity['Account']}{where}, as {identity['Arn']}"
    if account.endpoint_url is None:
        raise identity
    whose = "who the credentials belong to is not checked, it has no STS"
    queues = _asked(account, "sqs", lambda client: client.list_queues(MaxResults=1))
    if isinstance(queues, dict):
        return f"Amazon SQS{where}; {whose}"
    buckets = _asked(account, "s3", lambda client: client.list_buckets())
    if isinstance(buckets, dict):
        return f"Amazon S3{where}; {whose}"
    msg = f"neither STS, SQS nor S3 answers{where}; check endpoint_url. SQS said: {queues}"
    raise FatalError(msg)


def check_queue(account: AwsAccount, url: str, *, unknown: str) -> str:
    """The queue and how many messages it has; `unknown` are the rights that only their use can tell.

    Raises:
        TransientError: the server cannot be reached at present.
        FatalError: there is no such queue, or the credentials are refused.
    """
    attributes = queue_attributes(account, url)
    parts = urlsplit(url)
    queue = f"queue {parts.path.rpartition('/')[2]} at {parts.netloc.rpartition('@')[2]}"
    if attributes is None:
        return f"{queue}: its attributes may not be read, so that it exists is not checked, nor {unknown}"
    said = [
        f"{attributes.get('ApproximateNumberOfMessages', '?')} messages wait",
        f"{attributes.get('ApproximateNumberOfMessagesNotVisible', '?')} are in flight",
    ]
    if "RedrivePolicy" in attributes:
        said.append("it has a dead-letter queue")
    return f"{queue}: {', '.join(said)}; not checked: {unknown}"


def queue_attributes(account: AwsAccount, url: str) -> dict[str, str] | None:
    """All attributes of a queue; None where the account may not read them.

    Raises:
        TransientError: the server cannot be reached at present.
        FatalError: there is no such queue, or the credentials are refused.
    """
    from sources.amazon_sqs.errors import classify

    with closing(account.client("sqs", url=url, connections=1, **BRIEFLY)) as client:
        try:
            answer = client.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
        except Exception as error:
            meaning = classify(error, url)
            if isinstance(meaning, FatalError) and f"{_ATTRIBUTES}: AccessDenied" in str(meaning):
                return None
            raise meaning from error
    attributes: dict[str, str] = answer.get("Attributes", {})
    return attributes


def _asked(account: AwsAccount, service: str, call: Callable[[Any], Any]) -> dict[str, Any] | FatalError:
    """What a service answers, or why it does not know what was asked for.

    Raises:
        TransientError: it cannot be reached at present.
        FatalError: it refuses the credentials.
    """
    from botocore.exceptions import ClientError
    from botocore.parsers import ResponseParserError

    from sources.amazon_sqs.errors import classify

    with closing(account.client(service, connections=1, **BRIEFLY)) as client:
        try:
            answer: dict[str, Any] = call(client)
        except Exception as error:
            meaning = classify(error, client.meta.endpoint_url)
            is_answer = isinstance(error, (ClientError, ResponseParserError))
            refused = isinstance(error, ClientError) and error.response["Error"].get("Code", "").startswith(_REFUSED)
            if not is_answer or refused:
                raise meaning from error
            return FatalError(str(meaning))
    return answer
