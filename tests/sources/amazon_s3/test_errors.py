from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from flowspec.errors import FatalError, TransientError
from sources.amazon_s3.errors import classify, code_of
from tests.sources.amazon_sqs.test_errors import answer

PLACE = "s3://orders/in/a.jsonl"


@pytest.mark.parametrize(
    "error",
    [
        answer("InternalError", 500, "GetObject"),
        answer("SlowDown", 503, "ListObjectsV2"),
        answer("RequestTimeout", 400, "PutObject"),
        answer("ThrottlingException", 400, "PutObject"),
        answer("OperationAborted", 409, "PutObject"),
        answer("ConditionalRequestConflict", 409, "PutObject"),
        answer("BadDigest", 400, "PutObject"),
        ReadTimeoutError(endpoint_url=PLACE),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        ResponseStreamingError(error="reset"),
        ConnectionResetError("reset"),
    ],
    ids=repr,
)
def test_what_can_pass_is_tried_again(error: Exception) -> None:
    assert isinstance(classify(error, PLACE), TransientError)


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (answer("NoSuchBucket", 404), "the bucket does not exist; check bucket"),
        (answer("AccessDenied", 403), "s3:ListBucket and s3:GetObject"),
        (answer("PermanentRedirect", 301), "check region and endpoint_url"),
        (answer("AuthorizationHeaderMalformed", 400), "set region"),
        (answer("InvalidAccessKeyId", 403), "check access_key_id"),
        (answer("SignatureDoesNotMatch", 403), "check secret_access_key"),
        (answer("RequestTimeTooSkewed", 403), "check this machine's clock"),
        (answer("ExpiredToken", 400), "renew it"),
        (answer("AccessDenied", 403, "AssumeRole"), "check role_arn"),
    ],
    ids=repr,
)
def test_what_cannot_pass_stops_the_flow_with_advice(error: ClientError, advice: str) -> None:
    classified = classify(error, PLACE)

    assert isinstance(classified, FatalError)
    assert PLACE in str(classified)
    assert advice in str(classified)
    assert "sqs:" not in str(classified)


def test_the_code_of_what_is_no_answer_is_empty() -> None:
    assert code_of(answer("NoSuchKey", 404)) == "NoSuchKey"
    assert code_of(OSError("gone")) == ""
    assert code_of(None) == ""


@pytest.mark.parametrize(
    ("missing", "code", "extra"),
    [
        ("botocore", "from sources.amazon_s3.bucket import Bucket", "s3"),
        ("botocore", "from sinks.amazon_s3 import PutObjects; PutObjects(bucket='orders').open(None)", "s3"),
        (
            "pyarrow",
            "from sinks.amazon_s3 import PutObjects; PutObjects(bucket='orders', format='parquet').open(None)",
            "parquet",
        ),
    ],
)
def test_without_its_packages_the_way_to_install_them_is_said(
    tmp_path: Path, missing: str, code: str, extra: str
) -> None:
    (tmp_path / f"{missing}.py").write_text("raise ImportError('not here')")
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert f"pip install 'trigger-flows[{extra}]'" in run.stderr
