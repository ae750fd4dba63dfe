"""The RabbitMQ account of a connector: which brokers to connect to, and as whom."""

from __future__ import annotations

import random
import ssl
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeAlias
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, SecretStr, model_validator

from flowspec.connectors import Account
from flowspec.errors import FatalError, MissingDependencyError
from flowspec.fields import Duration, WholeSeconds

if TYPE_CHECKING:
    import pika

__all__ = ["RabbitAccount", "RabbitAccountField", "address_of", "need_pika"]

_DEFAULT_URL = "amqp://localhost:5672/"
_DEFAULT_USER = "guest"
"""Also the password; the broker takes it from its own machine only."""
_PORTS = {"amqp": 5672, "amqps": 5671}
_HANDSHAKE = 5
"""Seconds that TLS and AMQP have after the connection is there."""


class _Broker(NamedTuple):
    tls: bool
    host: str
    port: int
    username: str | None
    password: str | None
    virtual_host: str


class RabbitAccount(Account):
    """A RabbitMQ broker, or the nodes of a cluster.

    The URLs may have credentials in them, so they are secrets as a whole: logs and errors name host and port.
    """

    url: Annotated[
        SecretStr | None,
        Field(
            description="URL of the broker; amqp://localhost:5672/ without one. The path is the virtual host.",
            examples=["amqps://orders@rabbit.example.com:5671/shop"],
        ),
    ] = None
    urls: Annotated[
        list[SecretStr],
        Field(
            description="URLs of several brokers instead of one: each is tried in turn until one answers.",
            examples=[["amqp://rabbit-1.example.com/shop", "amqp://rabbit-2.example.com/shop"]],
        ),
    ] = Field(default_factory=list)
    shuffle: Annotated[
        bool,
        Field(
            description="Try the URLs in random order, which spreads workers over the nodes of a cluster; "
            "else each attempt begins with the first.",
            examples=[True],
        ),
    ] = False
    username: Annotated[
        str | None, Field(description="User name; by default that of the URL, or guest.", examples=["orders"])
    ] = None
    password: Annotated[
        SecretStr | None,
        Field(description="Password; by default that of the URL, or guest.", examples=["${RABBITMQ_PASSWORD}"]),
    ] = None
    virtual_host: Annotated[
        str | None, Field(description="Virtual host; by default that of the URL, or '/'.", examples=["shop"])
    ] = None
    ca_file: Annotated[
        str | None,
        Field(
            description="File with the certificates (PEM) that a broker's is checked against; by default those that "
            "this machine trusts.",
            examples=["/etc/ssl/rabbitmq/ca.pem"],
        ),
    ] = None
    certificate_file: Annotated[
        str | None,
        Field(
            description="File with this client's certificate (PEM), where the broker asks for one.",
            examples=["/etc/ssl/rabbitmq/client.pem"],
        ),
    ] = None
    key_file: Annotated[
        str | None,
        Field(
            description="File with the private key (PEM, not encrypted) of certificate_file; by default that file.",
            examples=["/etc/ssl/rabbitmq/client.key"],
        ),
    ] = None
    verify: Annotated[
        bool,
        Field(
            description="Whether a broker's certificate and host name are checked; false is for tests only.",
            examples=[False],
        ),
    ] = True
    heartbeat: Annotated[
        WholeSeconds | None,
        Field(
            ge=0,
            le=3600,
            description="How long a connection may be silent before it counts as lost; 0 never. By default what the "
            "broker says, mostly 60 seconds.",
            examples=["30s"],
        ),
    ] = None
    connect_timeout: Annotated[
        Duration, Field(gt=0, le=300, description="How long to wait for a broker to answer.", examples=["5s"])
    ] = 10.0

    @model_validator(mode="after")
    def _consistent(self) -> RabbitAccount:
        if self.url is not None and self.urls:
            msg = "give 'url' or 'urls', not both"
            raise ValueError(msg)
        brokers = list(self._brokers())
        if self.password is None and any(broker.username and broker.password is None for broker in brokers):
            msg = "the URL has a user name without a password: give 'password'"
            raise ValueError(msg)
        if self.username is not None and self.password is None and not all(broker.password for broker in brokers):
            msg = "'username' is given without a password: give 'password' too"
            raise ValueError(msg)
        tls = self.ca_file or self.certificate_file or self.key_file or not self.verify
        if tls and not all(broker.tls for broker in brokers):
            msg = "ca_file, certificate_file, key_file and verify are for URLs that begin with amqps://"
            raise ValueError(msg)
        if self.key_file and not self.certificate_file:
            msg = "key_file goes with certificate_file: give both"
            raise ValueError(msg)
        return self

    def check(self) -> str:
        """Log in, and say what answers; of several brokers the first that does.

        Raises:
            TransientError: none can be reached at present.
            FatalError: a broker refuses us, and will do so again.
        """
        need_pika()
        from sources.rabbitmq.checks import check_account

        return check_account(self)

    def parameters(self, connection_name: str) -> list[pika.ConnectionParameters]:
        """How to connect to each broker, in the order in which they are to be tried.

        Args:
            connection_name: What an operator sees in the broker's list of connections.

        Raises:
            MissingDependencyError: pika is not installed.
            FatalError: a certificate or key cannot be used.
        """
        need_pika()
        import pika

        context = self._tls_context() if any(broker.tls for broker in self._brokers()) else None
        several = [
            pika.ConnectionParameters(
                host=broker.host,
                port=broker.port,
                virtual_host=self.virtual_host if self.virtual_host is not None else broker.virtual_host,
                credentials=pika.PlainCredentials(
                    self.username or broker.username or _DEFAULT_USER,
                    _revealed(self.password) or broker.password or _DEFAULT_USER,
                ),
                heartbeat=self.heartbeat,
                socket_timeout=self.connect_timeout,
                stack_timeout=self.connect_timeout + _HANDSHAKE,
                # Whoever connects tries again for as long as it takes.
                connection_attempts=1,
                ssl_options=pika.SSLOptions(context, broker.host) if context and broker.tls else None,
                client_properties={"connection_name": connection_name},
            )
            for broker in self._brokers()
        ]
        if self.shuffle:
            random.shuffle(several)
        return several

    def _brokers(self) -> list[_Broker]:
        if self.urls:
            return [_broker(url.get_secret_value(), f"urls[{at}]") for at, url in enumerate(self.urls)]
        return [_broker(_DEFAULT_URL if self.url is None else self.url.get_secret_value(), "url")]

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            msg = f"ca_file {self.ca_file} cannot be used: {error}"
            raise FatalError(msg) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate_file:
            try:
                context.load_cert_chain(self.certificate_file, self.key_file, password=_no_password)
            except (OSError, ValueError) as error:
                files = " or ".join(filter(None, (self.certificate_file, self.key_file)))
                msg = f"certificate_file or key_file ({files}) cannot be used: {error}"
                raise FatalError(msg) from error
        return context


RabbitAccountField: TypeAlias = Annotated[
    RabbitAccount | str | None,
    Field(
        description="Name of an account, or the account itself. Without one, it is amqp://guest:guest@localhost:5672/.",
        examples=["rabbit"],
    ),
]
"""The `account` of a trigger or sink."""


def address_of(parameters: pika.ConnectionParameters) -> str:
    """The URL of a broker without its credentials, for logs and errors."""
    scheme = "amqps" if parameters.ssl_options else "amqp"
    host = f"[{parameters.host}]" if ":" in parameters.host else parameters.host
    virtual_host = "" if parameters.virtual_host == "/" else quote(parameters.virtual_host, safe="")
    return f"{scheme}://{host}:{parameters.port}/{virtual_host}"


def need_pika() -> None:
    """See that pika is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    try:
        import pika  # noqa: F401
    except ImportError:
        raise MissingDependencyError(connector="rabbitmq", extra="rabbitmq") from None


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


def _no_password() -> str:
    # Without it OpenSSL asks the terminal.
    msg = "the key is encrypted"
    raise ValueError(msg)


def _broker(url: str, field: str) -> _Broker:
    """The parts of a URL; no error quotes any of it, for it may be the password."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        msg = (
            f"{field}: what follows the host's ':' is not a port; in a password '/', '#', '?' are written as %2F, %23, "
            "%3F, or give it as 'password'"
        )
        raise ValueError(msg) from None
    if parts.scheme not in _PORTS:
        msg = f"{field}: a URL is like amqp://user:password@host:5672/virtual-host, or begins with amqps:// for TLS"
        raise ValueError(msg)
    if parts.query or parts.fragment:
        msg = (
            f"{field}: '?' and '#' have no meaning here; options like heartbeat are fields of the account, and in a "
            "password they are written as %3F, %23"
        )
        raise ValueError(msg)
    if not parts.hostname:
        msg = f"{field}: the URL has no host"
        raise ValueError(msg)
    return _Broker(
        tls=parts.scheme == "amqps",
        host=parts.hostname,
        port=port or _PORTS[parts.scheme],
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password is not None else None,
        virtual_host=unquote(parts.path[1:]) or "/",
    )
