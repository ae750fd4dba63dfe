"""The schema registry of a Kafka account."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import urlsplit
from weakref import finalize

from flowspec.errors import FatalError, FlowError, MissingDependencyError, TransientError

if TYPE_CHECKING:
    from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient

    from sources.kafka.account import SchemaRegistry

__all__ = ["FormName", "Registry", "is_not_found", "schema_of"]

FormName: TypeAlias = Literal["avro", "json-schema"]

_TYPES: dict[FormName, str] = {"avro": "AVRO", "json-schema": "JSON"}
_TIMEOUT = 10.0
"""Seconds for one call."""
_NOT_FOUND = (40401, 40402, 40403)
"""No such subject, version, schema. Source: "Schema Registry API Reference", errors."""
_TOO_BUSY = (408, 429)
_NO_ACCESS = (401, 403)
_NOWHERE = 404
_SERVER_ERRORS = 500


class Registry:
    """A client of a registry, and what its errors mean.

    Nothing is connected before the first question, and nothing is asked twice.
    """

    def __init__(self, settings: SchemaRegistry) -> None:
        """Make the client.

        Raises:
            MissingDependencyError: the packages of schemas are not installed.
            FatalError: the account cannot be used as it is configured.
        """
        self.name = _without_login(settings.url)
        self._transport_errors = _transport_errors()
        self.api = _api(settings)
        # Nobody closes a decoder or encoder: it is a function to those who use it.
        finalize(self, self.api.__exit__, None, None, None)

    def meaning(self, error: Exception) -> FlowError | None:
        """What an error means, if it is one of the registry."""
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        if isinstance(error, self._transport_errors):
            return TransientError(f"the schema registry {self.name} cannot be reached: {str(error) or repr(error)}")
        if not isinstance(error, SchemaRegistryError):
            return None
        said = f"the schema registry {self.name} says: {error.error_message} (status {error.http_status_code})"
        if error.http_status_code in _TOO_BUSY or error.http_status_code >= _SERVER_ERRORS:
            return TransientError(said)
        if error.http_status_code in _NO_ACCESS:
            return FatalError(f"{said}; check username and password of schema_registry in the Kafka account")
        if error.http_status_code == _NOWHERE and not is_not_found(error):
            return FatalError(f"{said}; check the path in the url of schema_registry in the Kafka account")
        return FatalError(said)

    def trouble_with(self, schema_id: int, form: FormName) -> Exception | None:
        """Why nothing can be decoded by a schema; None where it is there, and one of the format."""
        try:
            kind = self.api.get_schema(schema_id).schema_type or "AVRO"
        except Exception as error:  # noqa: BLE001 - an answer that is none may fail in any way
            if is_not_found(error):
                return ValueError(f"schema id {schema_id} is not in the registry {self.name}")
            found = f"the schema registry {self.name} gives an answer that is none: {type(error).__name__}: {error}"
            return self.meaning(error) or TransientError(found)
        if kind != _TYPES[form]:
            return ValueError(f"schema id {schema_id} is one of type {kind}, which format {form!r} is not for")
        return None

    def newest(self, subject: str, form: FormName) -> RegisteredSchema:
        """The newest schema of a subject.

        Raises:
            FatalError: it has none of the format.
        """
        try:
            found = self.api.get_latest_version(subject)
        except Exception as error:
            if is_not_found(error):
                msg = f"the subject {subject!r} has no schema in the registry {self.name}; register one"
                raise FatalError(msg) from error
            raise
        # A registry leaves the type out where it is Avro.
        kind = found.schema.schema_type or "AVRO"
        if kind != _TYPES[form]:
            msg = (
                f"the newest schema of the subject {subject!r} is one of type {kind}, which format {form!r} is not for"
            )
            raise FatalError(msg)
        return found

    def id_of(self, schema: Schema, subject: str, *, register: bool) -> int:
        """The id that a subject has a schema by.

        Args:
            schema: The schema.
            subject: The subject.
            register: Whether the schema is registered where the subject does not have it.

        Raises:
            FatalError: it does not have it.
        """
        if register:
            return self.api.register_schema(subject, schema)
        try:
            found = self.api.lookup_schema(subject, schema).schema_id
        except Exception as error:
            if not is_not_found(error):
                raise
            found = None
        if found is None:
            msg = (
                f"the subject {subject!r} does not have this schema in the registry {self.name}; "
                "register it, or set auto_register"
            )
            raise FatalError(msg)
        return found


def _api(settings: SchemaRegistry) -> SchemaRegistryClient:
    conf: dict[str, Any] = {
        "url": settings.url,
        "timeout": _TIMEOUT,
        # Whoever uses a decoder or encoder tries again, and says so.
        "max.retries": 0,
    }
    if settings.username is not None and settings.password is not None:
        conf["basic.auth.user.info"] = f"{settings.username}:{settings.password.get_secret_value()}"
    try:
        from confluent_kafka.schema_registry import SchemaRegistryClient
        from confluent_kafka.schema_registry.avro import AvroDeserializer  # noqa: F401 - whether it can be had
        from confluent_kafka.schema_registry.json_schema import JSONDeserializer  # noqa: F401
    except ImportError:
        raise MissingDependencyError(connector="kafka", extra="schema-registry") from None
    try:
        return SchemaRegistryClient(conf)
    except ValueError as error:
        msg = f"schema_registry of the Kafka account cannot be used: {error}"
        raise FatalError(msg) from error


def _transport_errors() -> tuple[type[Exception], ...]:
    """What says that there was no answer; confluent-kafka uses whichever package is installed."""
    found = []
    for name in ("httpx2", "httpx"):
        with suppress(ImportError):
            found.append(import_module(name).TransportError)
    return tuple(found)


def is_not_found(error: Exception) -> bool:
    """Whether the registry does not have what was asked for."""
    return getattr(error, "error_code", None) in _NOT_FOUND


def _without_login(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def schema_of(text: str, form: FormName) -> Schema:
    """A schema for confluent-kafka."""
    from confluent_kafka.schema_registry import Schema

    return Schema(text, _TYPES[form])
