"""http / webhook: the spec model of the trigger."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from flowspec.connectors import StreamTrigger
from flowspec.errors import FatalError, MissingDependencyError
from flowspec.fields import ByteSize, Duration
from sources.http.account import HttpAccount
from sources.webhook.security import HeaderName, Preset, Signature

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.records import Position, Record
    from sources.webhook.reader import WebhookReader

__all__ = ["Webhook"]

Method: TypeAlias = Literal["POST", "PUT", "PATCH", "GET", "DELETE"]


def _only_post() -> list[Method]:
    return ["POST"]


_KIB, _MIB, _GIB = 2**10, 2**20, 2**30


class Webhook(StreamTrigger):
    """Webhook: starts the flow for each request to an HTTP endpoint of its own.

    At-least-once, for senders that send again what was not answered with 202. With `respond: delivered` that answer
    says that every sink has the record. A request that is not delivered within `answer_timeout` is answered with 504:
    its record stays in the flow, so that it may be delivered, and once more when the sender sends it again. With
    `respond: accepted` it says that the record is on the disk of this machine, in the flow's state directory, from
    where it is delivered, after a crash as well.

    A request is one record, in the order of arrival. What cannot be taken now is refused and should be sent again: 429
    while too much is not delivered yet, 503 while the flow is being stopped. What never can is refused too: 404, 405,
    413 and 415 by path, method, size and compression, 401 and 403 without the right secret or signature.

    One worker listens, whatever their number. HTTPS is for a proxy in front of it.

    In steps, `meta` has `request_id` (which the answer has too), `method`, `path`, `query` (its parameters; one that is
    there several times is a list), `remote` (the address of the connection's other end) and `received_at`. `headers`
    have their names in lower case, and none that authenticates the sender. There is no `key`.
    """

    identified_by = ("request_id",)

    connector: Annotated[Literal["http"], Field(description="HTTP.", examples=["http"])] = "http"
    event: Annotated[Literal["webhook"], Field(description="Each request to an endpoint.", examples=["webhook"])] = (
        "webhook"
    )
    account: Annotated[
        HttpAccount | str | None,
        Field(
            description="Name of an account, or the account itself. Of it, only the `signing_secret` is used.",
            examples=["shop"],
        ),
    ] = None
    host: Annotated[
        str,
        Field(
            min_length=1,
            description="Address to listen on; by default only this machine reaches it. 0.0.0.0 is every IPv4 address "
            "of the machine, :: every one.",
            examples=["0.0.0.0"],  # noqa: S104 - it is not ours
        ),
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535, description="Port to listen on, of this flow alone.", examples=[8080])]
    path: Annotated[
        str,
        Field(
            pattern=r"^/[^?#]*$",
            description="Path of the endpoint, without percent-encoding; another one is answered with 404.",
            examples=["/hooks/orders"],
        ),
    ] = "/"
    methods: Annotated[
        list[Method],
        Field(
            min_length=1,
            description="Methods that make a record; another one is answered with 405.",
            examples=[["POST", "PUT"]],
        ),
    ] = Field(default_factory=_only_post)
    secret_header: Annotated[
        HeaderName | None,
        Field(
            description="Header in which the sender has to send the account's `signing_secret`.", examples=["X-Token"]
        ),
    ] = None
    signature: Annotated[
        Preset | Signature | None,
        Field(
            description="How the sender signs the body with the account's `signing_secret`: as GitHub, Shopify or "
            "Stripe do, or an object that says how.",
            examples=["github", {"header": "X-Signature", "encoding": "base64"}],
        ),
    ] = None
    unauthenticated: Annotated[
        bool,
        Field(
            description="Take requests from everybody who reaches the port. Without a secret it is needed for every "
            "`host` but this machine's own.",
            examples=[True],
        ),
    ] = False
    respond: Annotated[
        Literal["delivered", "accepted"],
        Field(
            description="When a request is answered with 202: when every sink has the record, or when it is stored on "
            "the disk.",
            examples=["accepted"],
        ),
    ] = "delivered"
    answer_timeout: Annotated[
        Duration,
        Field(
            gt=0,
            le=3600,
            description="After how long a request is answered with 504 that is not delivered, or not stored; less than "
            "the sender waits.",
            examples=["8s"],
        ),
    ] = 25.0
    receive_timeout: Annotated[
        Duration,
        Field(
            gt=0,
            le=3600,
            description="How long a request may take to arrive; a slower one is answered with 408.",
            examples=["10s"],
        ),
    ] = 30.0
    max_size: Annotated[
        ByteSize,
        Field(
            ge=1,
            le=_GIB,
            description="Size of the largest body; a larger one is answered with 413.",
            examples=["10MiB"],
        ),
    ] = _MIB
    pending: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="The most requests that are received and not delivered, or not stored, at the same time; more "
            "are answered with 429.",
            examples=[2000],
        ),
    ] = 500
    pending_size: Annotated[
        ByteSize,
        Field(
            ge=_KIB,
            le=64 * _GIB,
            description="The most bytes that the bodies of these, and those that are arriving, have together.",
            examples=["256MiB"],
        ),
    ] = 64 * _MIB
    connections: Annotated[
        int,
        Field(
            ge=1,
            le=100_000,
            description="The most connections at the same time; more are answered with 503. Each needs a file "
            "descriptor, of which a process often may have 1,024.",
            examples=[4000],
        ),
    ] = 800
    spool_size: Annotated[
        ByteSize,
        Field(
            ge=_MIB,
            description="About how much of the disk may be taken by accepted requests that are not delivered yet; more "
            "are answered with 429.",
            examples=["10GiB"],
        ),
    ] = _GIB

    @model_validator(mode="after")
    def _consistent(self) -> Webhook:
        if self.max_size > self.pending_size:
            msg = "max_size is more than pending_size: no such body would ever be taken"
            raise ValueError(msg)
        if problem := self._insecurity():
            raise ValueError(problem)
        return self

    def _insecurity(self) -> str | None:
        asked = self.secret_header is not None or self.signature is not None
        ways = (self.secret_header is not None) + (self.signature is not None) + self.unauthenticated
        # Without the accounts file nobody knows what an account has.
        is_known = not isinstance(self.account, str)
        secret = self.account.signing_secret if isinstance(self.account, HttpAccount) else None
        problems = {
            "give one of 'secret_header', 'signature' and 'unauthenticated'": ways > 1,
            "the account's 'signing_secret' is empty: anybody could sign with it": secret is not None and not secret,
            "the account has no 'signing_secret' to compare with: give it one": is_known and asked and secret is None,
            "the account has a 'signing_secret': say with 'secret_header' or 'signature' where it is used": (
                secret is not None and not asked
            ),
            f"others reach {self.host} and could send anything: give 'secret_header' or 'signature', and an account "
            "with a 'signing_secret'; or say 'unauthenticated': true": (
                not asked and not self.unauthenticated and not _is_this_machine(self.host)
            ),
        }
        return next((problem for problem, is_there in problems.items() if is_there), None)

    def partitions(self, workers: int) -> list[str]:
        """A port is listened on by one worker."""
        return ["endpoint"]

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> WebhookReader:
        """Begin to listen; what was accepted before and not delivered comes first."""
        _need_h11()
        from sources.webhook.reader import WebhookReader

        return WebhookReader(self, context)

    def identity(self, record: Record) -> str | None:
        """The request id, where an accepted request keeps it; one that its sender sends again has another."""
        return super().identity(record) if self.respond == "accepted" else None

    def check(self) -> str:
        """See that the address could be listened on.

        Raises:
            FatalError: it cannot, perhaps because the flow runs and does.
        """
        _need_h11()
        from sources.webhook.server import check_address

        check_address(self.host, self.port)
        known = "everybody" if HttpAccount.of(self.account).signing_secret is None else "who knows the signing_secret"
        return f"port {self.port} of {self.host} is free to listen on, path {self.path}, for {known}"

    def sample(self, most: int, wait: float, context: WorkerContext) -> list[Record]:
        """There is no looking at requests.

        Raises:
            FatalError: always.
        """
        msg = (
            f"requests to {self.path} cannot be looked at: they are in no queue, each is its sender's until it is "
            "answered; run a copy of the flow on another port with the sink stdout / print, and send it a request"
        )
        raise FatalError(msg)


def _need_h11() -> None:
    try:
        import h11  # noqa: F401
    except ImportError:
        raise MissingDependencyError(connector="http", extra="webhook") from None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
