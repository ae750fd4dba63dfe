from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    ReadTimeoutError,
    SSLError,
)

from flowspec.errors import FatalError, TransientError
from sources.amazon_sqs.errors import classify, is_passing

URL = "https://sqs.eu-west-1.amazonaws.com/1/orders"


def answer(code: str, status: int = 400, operation: str = "ReceiveMessage") -> ClientError:
    response: Any = {
        "Error": {"Code": code, "Message": "said the server"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(response, operation)


@pytest.mark.parametrize(
    "error",
    [
        answer("InternalFailure", 500),
        answer("ServiceUnavailable", 503),
        answer("ThrottlingException"),
        answer("RequestThrottled", 403),
        answer("OverLimit", 403),
        answer("TooManyRequests", 429),
        EndpointConnectionError(endpoint_url=URL),
        ConnectTimeoutError(endpoint_url=URL),
        ReadTimeoutError(endpoint_url=URL),
        SSLError(endpoint_url=URL, error=OSError("handshake")),
        CredentialRetrievalError(provider="iam-role", error_msg="metadata service"),
        ConnectionResetError("reset"),
    ],
    ids=repr,
)
def test_what_can_pass_is_tried_again(error: Exception) -> None:
    assert isinstance(classify(error, URL), TransientError)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer("AWS.SimpleQueueService.NonExistentQueue"), "the queue does not exist; check queue_url"),
        (answer("QueueDoesNotExist"), "the queue does not exist; check queue_url"),
        (answer("AccessDenied", 403), "sqs:ReceiveMessage"),
        (answer("AccessDeniedException"), "sqs:ReceiveMessage"),
        (answer("AccessDenied", 403, "AssumeRole"), "check role_arn"),
        (answer("InvalidClientTokenId", 403), "check access_key_id"),
        (answer("SignatureDoesNotMatch", 403), "check secret_access_key"),
        (answer("ExpiredToken", 403), "renew it"),
        (answer("UnsupportedOperation"), "said the server"),
        (answer("", 403), "HTTP 403"),
        (NoCredentialsError(), "AWS_ACCESS_KEY_ID"),
        (NoRegionError(), "region"),
        (ValueError("a bug"), "a bug"),
    ],
    ids=repr,
)
def test_what_cannot_pass_stops_the_flow_with_advice(error: Exception, advice: str) -> None:
    classified = classify(error, URL)

    assert isinstance(classified, FatalError)
    assert URL in str(classified)
    assert advice in str(classified)


@pytest.mark.parametrize(
    ("code", "passing"),
    [
        ("RequestThrottled", True),
        ("KMS.ThrottlingException", True),
        ("OverLimit", True),
        ("InvalidMessageContents", False),
        ("ReceiptHandleIsInvalid", False),
    ],
)
def test_one_message_of_a_batch_may_be_throttled(code: str, passing: bool) -> None:
    assert is_passing(code) is passing
