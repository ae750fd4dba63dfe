"""The AWS account of a connector: where to connect to, and as whom."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator

from flowspec.connectors import Account
from flowspec.errors import FatalError, MissingDependencyError

if TYPE_CHECKING:
    import boto3

__all__ = ["AwsAccount", "AwsAccountField", "QueueUrl"]

_ROLE_SESSION = "trigger-flows"
_CONNECT_TIMEOUT = 5
_READ_TIMEOUT = 30
"""Seconds; longer than the longest long poll, which is twenty."""
_AWS = re.compile(r"^https?://(?:sqs(?:-fips)?\.[a-z0-9-]+|(?:[a-z0-9-]+\.)?queue)\.amazonaws\.com(?:\.cn)?/")
_ENDPOINT_SETTINGS = frozenset({"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS"})
_REGION_IN_URL = re.compile(r"^https?://(?:[\w-]+\.)?sqs\.([a-z0-9-]+)\.|^https?://([a-z0-9-]+)\.queue\.amazonaws\.")


class AwsAccount(Account):
    """An AWS account, or a server that speaks the protocol of one.

    What is left out comes from boto3's own chain: environment, profile, container or instance role.
    """

    region: Annotated[
        str | None,
        Field(description="AWS region; by default that of the queue's URL, or boto3's.", examples=["eu-west-1"]),
    ] = None
    endpoint_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://",
            description="Address of another server than AWS's own; by default the one that the queue's URL names. All "
            "calls go there, whatever a queue URL says.",
            examples=["http://127.0.0.1:9324"],
        ),
    ] = None
    access_key_id: Annotated[
        str | None, Field(description="Access key, without its secret.", examples=["AKIAIOSFODNN7EXAMPLE"])
    ] = None
    secret_access_key: Annotated[
        SecretStr | None, Field(description="Secret of the access key.", examples=["${AWS_SECRET_ACCESS_KEY}"])
    ] = None
    session_token: Annotated[
        SecretStr | None, Field(description="Token of temporary credentials.", examples=["${AWS_SESSION_TOKEN}"])
    ] = None
    profile: Annotated[str | None, Field(description="Profile of the AWS configuration.", examples=["production"])] = (
        None
    )
    role_arn: Annotated[
        str | None,
        Field(
            description="Role to assume with these credentials; its own are renewed before they run out.",
            examples=["arn:aws:iam::123456789012:role/orders"],
        ),
    ] = None

    @model_validator(mode="after")
    def _both_parts_of_the_key(self) -> AwsAccount:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            msg = "access_key_id and secret_access_key go together: give both or none"
            raise ValueError(msg)
        return self

    def client(self, service: str, *, url: str = "", connections: int, **options: Any) -> Any:
        """A client of `service` that any number of threads may share; nothing is connected yet.

        Args:
            service: Name of the AWS service, like `sqs`.
            url: What the client is for, where that has one; the region is taken from it if nothing else names one.
            connections: How many calls run at the same time.
            options: Of botocore's configuration, what the service needs otherwise than others.

        Raises:
            MissingDependencyError: boto3 is not installed.
            FatalError: the account cannot be used as it is configured.
        """
        try:
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError:
            raise MissingDependencyError(connector=f"amazon-{service}", extra=service) from None
        ours: dict[str, Any] = {
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _READ_TIMEOUT,
            # Each caller tries again for as long as it takes; here only a stale connection is made up for.
            "retries": {"mode": "standard", "total_max_attempts": 2},
        }
        config = Config(
            max_pool_connections=connections,
            tcp_keepalive=True,
            # Saves a twentieth of a call's CPU. What we pass is built by us.
            parameter_validation=False,
            user_agent_extra="trigger-flows",
            **{**ours, **options},
        )
        try:
            session: Any = self._session()
            endpoint = self.endpoint_url or _endpoint_in(url)
            region = self.region or _region_in(url) or session.region_name or (None if _AWS.match(url) else "us-east-1")
            return session.client(service, endpoint_url=endpoint, region_name=region, config=config)
        except (BotoCoreError, ValueError) as error:
            # A ValueError is about endpoint_url.
            msg = f"the AWS account cannot be used: {error}"
            raise FatalError(msg) from error

    def check(self) -> str:
        """Ask whose credentials these are; a server that has no STS is asked for what it has.

        Raises:
            TransientError: the server cannot be reached at present.
            FatalError: it does not know the credentials, or they may not be used any more.
        """
        from sources.amazon_sqs.checks import check_account

        return check_account(self)

    def _session(self) -> boto3.session.Session:
        import boto3

        session = boto3.session.Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=_revealed(self.secret_access_key),
            aws_session_token=_revealed(self.session_token),
            profile_name=self.profile,
        )
        return session if self.role_arn is None else self._assume_role(session, self.role_arn)

    def _assume_role(self, session: Any, role_arn: str) -> boto3.session.Session:
        import boto3
        from botocore.config import Config
        from botocore.credentials import AssumeRoleCredentialFetcher, DeferredRefreshableCredentials
        from botocore.session import Session

        source = session.get_credentials()
        if source is None:
            msg = f"no credentials to assume {role_arn} with; give access_key_id and secret_access_key, or a profile"
            raise FatalError(msg)
        region = self.region or session.region_name or "us-east-1"
        once = Config(
            connect_timeout=_CONNECT_TIMEOUT, read_timeout=_CONNECT_TIMEOUT, retries={"total_max_attempts": 1}
        )
        fetcher = AssumeRoleCredentialFetcher(
            lambda service, **keys: session.client(service, region_name=region, config=once, **keys),
            source,
            role_arn,
            extra_args={"RoleSessionName": _ROLE_SESSION},
        )
        assumed: Any = Session()
        # Botocore has no public way to give a session credentials that renew themselves.
        assumed._credentials = DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")  # noqa: SLF001
        return boto3.session.Session(botocore_session=assumed, region_name=session.region_name)


AwsAccountField: TypeAlias = Annotated[
    AwsAccount | str | None,
    Field(
        description="Name of an account, or the account itself. What it leaves out comes from the AWS chain: "
        "environment, profile, container or instance role.",
        examples=["aws"],
    ),
]
"""The `account` of a trigger or sink."""

QueueUrl: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^https?://[^/]+/.+",
        description="URL of the queue.",
        examples=["https://sqs.eu-west-1.amazonaws.com/123456789012/orders"],
    ),
]
"""The `queue_url` of a trigger or sink."""


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _endpoint_in(url: str) -> str | None:
    """The server that a queue's URL names, if it is not AWS itself; boto3's own settings come first."""
    if not url or _AWS.match(url) or not _ENDPOINT_SETTINGS.isdisjoint(os.environ):
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _region_in(url: str) -> str | None:
    match = _REGION_IN_URL.match(url)
    return (match[1] or match[2]) if match else None
