"""The Kafka account of a connector: which cluster to connect to, and as whom."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Field, SecretStr, field_validator, model_validator

from flowspec.connectors import Account, SpecModel
from flowspec.errors import FatalError, MissingDependencyError

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Producer
    from confluent_kafka.admin import AdminClient

__all__ = ["KafkaAccount", "KafkaAccountField", "SchemaRegistry", "need_kafka"]

Client = TypeVar("Client")
Property: TypeAlias = bool | int | float | str | SecretStr

_log = logging.getLogger(__name__)

_SERVER = re.compile(r"(?:[\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?", re.ASCII)
_SECRET = re.compile(r"password|secret|token|key|\.pem|oauthbearer\.config", re.IGNORECASE)
_OF_FIELDS = {
    "bootstrap.servers": "bootstrap_servers",
    "metadata.broker.list": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.mechanisms": "sasl_mechanism",
    "sasl.username": "username",
    "sasl.password": "password",
    "ssl.ca.location": "ca_file",
    "ssl.certificate.location": "certificate_file",
    "ssl.key.location": "key_file",
    "ssl.key.password": "key_password",
}
_OF_THE_FLOW = frozenset(
    {
        "acks",
        "auto.offset.reset",
        "delivery.report.only.error",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "enable.partition.eof",
        "group.id",
        "group.instance.id",
        "isolation.level",
        "logger",
        "on_commit",
        "on_delivery",
        "request.required.acks",
        "transactional.id",
    }
)
"""What triggers and sinks set themselves: what they promise rests on it."""


class SchemaRegistry(SpecModel):
    """A schema registry: where the schemas of Avro and JSON Schema payloads are kept."""

    url: Annotated[
        str,
        Field(pattern=r"^https?://\S+$", description="Address of the registry.", examples=["http://127.0.0.1:8081"]),
    ]
    username: Annotated[
        str | None, Field(description="User, or API key, where the registry asks for one.", examples=["orders"])
    ] = None
    password: Annotated[
        SecretStr | None, Field(description="Password of the user.", examples=["${REGISTRY_PASSWORD}"])
    ] = None

    @model_validator(mode="after")
    def _both_of_the_login(self) -> SchemaRegistry:
        _both("username", self.username, "password", self.password)
        return self


class KafkaAccount(Account):
    """A Kafka cluster, or a server that speaks the protocol of one."""

    bootstrap_servers: Annotated[
        str | list[str],
        Field(
            description="Brokers to connect to first, as a list or one text with commas; they name the others. "
            "The port is 9092 where none is given.",
            examples=[["127.0.0.1:9092"]],
        ),
    ]
    security_protocol: Annotated[
        Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] | None,
        Field(
            description="How the brokers are spoken to. By default what the other fields ask for: `sasl_ssl` with a "
            "user or `sasl_mechanism`, `ssl` with a file of TLS, `plaintext` otherwise.",
            examples=["sasl_ssl"],
        ),
    ] = None
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"] | None,
        Field(
            description="How to log in; `PLAIN` where only `username` is given. What `OAUTHBEARER` and `GSSAPI` need "
            "besides goes into `properties`.",
            examples=["SCRAM-SHA-512"],
        ),
    ] = None
    username: Annotated[str | None, Field(description="User, or API key.", examples=["orders"])] = None
    password: Annotated[
        SecretStr | None, Field(description="Password of the user.", examples=["${KAFKA_PASSWORD}"])
    ] = None
    ca_file: Annotated[
        str | None,
        Field(
            description="File (PEM) of the authorities that the brokers' certificates are checked with; by default "
            "those of the system.",
            examples=["/etc/ssl/kafka-ca.pem"],
        ),
    ] = None
    certificate_file: Annotated[
        str | None, Field(description="File (PEM) of this client's certificate.", examples=["/etc/ssl/client.pem"])
    ] = None
    key_file: Annotated[
        str | None, Field(description="File (PEM) of the certificate's private key.", examples=["/etc/ssl/client.key"])
    ] = None
    key_password: Annotated[
        SecretStr | None, Field(description="Password of the private key.", examples=["${KAFKA_KEY_PASSWORD}"])
    ] = None
    schema_registry: Annotated[
        SchemaRegistry | None,
        Field(
            description="Where the formats `avro` and `json-schema` find their schemas.",
            examples=[{"url": "http://127.0.0.1:8081"}],
        ),
    ] = None
    properties: Annotated[
        dict[str, Property],
        Field(
            description="More properties of librdkafka, by their own names. They come before the defaults of triggers "
            "and sinks; what those promise rests on cannot be changed.",
            examples=[{"socket.keepalive.enable": True, "client.rack": "eu-west-1a"}],
        ),
    ] = Field(default_factory=dict)

    @field_validator("bootstrap_servers")
    @classmethod
    def _servers_are_servers(cls, servers: str | list[str]) -> str | list[str]:
        listed = _listed(servers)
        wrong = next((server for server in listed if not _SERVER.fullmatch(server)), None)
        if wrong is not None or not listed:
            msg = f"{wrong or ''!r} is no broker; write its host and port, like 'kafka-1.example.com:9092'"
            raise ValueError(msg)
        return servers

    @field_validator("properties")
    @classmethod
    def _properties_are_free(cls, properties: dict[str, Property]) -> dict[str, Property]:
        for name in properties:
            if name in _OF_FIELDS:
                msg = f"{name!r} has a field of its own; write it as {_OF_FIELDS[name]!r} of the account"
                raise ValueError(msg)
            if name in _OF_THE_FLOW or name.endswith("_cb"):
                msg = f"{name!r} is set by the trigger or sink; leave it out"
                raise ValueError(msg)
        return {
            name: SecretStr(value) if isinstance(value, str) and _SECRET.search(name) else value
            for name, value in properties.items()
        }

    @model_validator(mode="after")
    def _fields_go_together(self) -> KafkaAccount:
        _both("username", self.username, "password", self.password)
        _both("certificate_file", self.certificate_file, "key_file", self.key_file)
        if self._wants_login and not self._protocol.startswith("sasl"):
            msg = f"a user or sasl_mechanism does not go with security_protocol {self._protocol!r}; use 'sasl_ssl'"
            raise ValueError(msg)
        if self._wants_tls and not self._protocol.endswith("ssl"):
            msg = f"files of TLS do not go with security_protocol {self._protocol!r}; use 'ssl' or 'sasl_ssl'"
            raise ValueError(msg)
        if self._protocol.startswith("sasl") and not self._wants_login:
            msg = f"security_protocol {self._protocol!r} needs username and password, or sasl_mechanism"
            raise ValueError(msg)
        return self

    @property
    def _wants_login(self) -> bool:
        return self.username is not None or self.sasl_mechanism is not None

    @property
    def _wants_tls(self) -> bool:
        return self.ca_file is not None or self.certificate_file is not None

    @property
    def _protocol(self) -> str:
        if self.security_protocol is not None:
            return self.security_protocol
        if self._wants_login:
            return "sasl_ssl"
        return "ssl" if self._wants_tls else "plaintext"

    @property
    def servers(self) -> list[str]:
        """The bootstrap servers, one by one."""
        return _listed(self.bootstrap_servers)

    def config(self, client_id: str = "trigger-flows") -> dict[str, Any]:
        """What confluent-kafka's clients are made with, secrets in clear.

        Args:
            client_id: What the brokers call the client in their logs and quotas, where `properties` do not say.
        """
        mechanism = self.sasl_mechanism or ("PLAIN" if self._wants_login else None)
        fields = {
            "bootstrap.servers": ",".join(self.servers),
            "security.protocol": self._protocol,
            "sasl.mechanisms": mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
            "ssl.ca.location": self.ca_file,
            "ssl.certificate.location": self.certificate_file,
            "ssl.key.location": self.key_file,
            "ssl.key.password": self.key_password,
        }
        given = {"client.id": client_id, **fields, **self.properties}
        return {name: _plain(value) for name, value in given.items() if value is not None}

    def check(self) -> str:
        """Log in, and say which cluster answers.

        Raises:
            TransientError: no broker answers.
            FatalError: a broker refuses us, and will do so again.
        """
        need_kafka()
        from sources.kafka.checks import check_account

        return check_account(self)

    def admin(self, client_id: str, settings: Mapping[str, Any]) -> AdminClient:
        """A client that asks the cluster about itself; it connects in the background.

        Raises:
            MissingDependencyError: confluent-kafka is not installed.
            FatalError: the account cannot be used as it is configured.
        """
        need_kafka()
        from confluent_kafka.admin import AdminClient

        return self._made(AdminClient, client_id, settings)

    def consumer(self, client_id: str, settings: Mapping[str, Any]) -> Consumer:
        """A consumer with `settings`, callbacks among them; it connects in the background.

        Without a `logger` among them, librdkafka's log is debug messages of this module's logger.

        Raises:
            MissingDependencyError: confluent-kafka is not installed.
            FatalError: the account cannot be used as it is configured.
        """
        need_kafka()
        from confluent_kafka import Consumer

        return self._made(Consumer, client_id, settings)

    def producer(self, client_id: str, settings: Mapping[str, Any]) -> Producer:
        """A producer with `settings`, callbacks among them; it connects in the background.

        Without a `logger` among them, librdkafka's log is debug messages of this module's logger.

        Raises:
            MissingDependencyError: confluent-kafka is not installed.
            FatalError: the account cannot be used as it is configured.
        """
        need_kafka()
        from confluent_kafka import Producer

        return self._made(Producer, client_id, settings)

    def _made(self, client: Callable[[dict[str, Any]], Client], client_id: str, settings: Mapping[str, Any]) -> Client:
        from confluent_kafka import KafkaException

        try:
            return client({"logger": _Log(), **settings, **self.config(client_id)})
        except (KafkaException, TypeError, ValueError) as error:
            reason = error.args[0].str() if isinstance(error, KafkaException) else error
            msg = f"the Kafka account cannot be used: {reason}"
            raise FatalError(msg) from error


KafkaAccountField: TypeAlias = Annotated[
    KafkaAccount | str,
    Field(description="Name of an account, or the account itself.", examples=["kafka"]),
]
"""The `account` of a trigger or sink."""


def need_kafka() -> None:
    """See that confluent-kafka is installed.

    Raises:
        MissingDependencyError: it is not.
    """
    try:
        import confluent_kafka  # noqa: F401
    except ImportError:
        raise MissingDependencyError(connector="kafka", extra="kafka") from None


class _Log:
    """Where librdkafka's log goes; what matters for a flow comes as an error as well."""

    def log(self, level: int, text: str, *values: object) -> None:
        _log.debug(text, *values)


def _listed(servers: str | list[str]) -> list[str]:
    return [server.strip() for server in (servers.split(",") if isinstance(servers, str) else servers)]


def _plain(value: Property) -> str | int | float:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else value


def _both(name: str, value: object, other_name: str, other: object) -> None:
    if (value is None) != (other is None):
        msg = f"{name} and {other_name} go together: give both or none"
        raise ValueError(msg)
