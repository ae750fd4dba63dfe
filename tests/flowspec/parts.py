"""A connector for tests of the language, registered the way a notebook does it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from flowspec.connectors import Account, Action, Reader, StreamTrigger, WorkerContext, Writer
from flowspec.fields import Duration
from flowspec.records import Position
from flowspec.registry import register

__all__ = ["Listen", "ShopAccount", "Store", "Watch"]


class ShopAccount(Account):
    region: str = "eu"
    token: SecretStr | None = None
    port: int = 1

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 4:
            msg = f"{value.get_secret_value()!r} is too short"
            raise ValueError(msg)
        return value


@register
class Listen(StreamTrigger):
    """Listen: for the tests."""

    connector: Annotated[Literal["test-shop"], Field(description="A shop.")] = "test-shop"
    event: Annotated[Literal["listen"], Field(description="Each order.")] = "listen"
    account: ShopAccount | str | None = None
    queue: Annotated[str, Field(pattern="^https?://", description="URL of the queue.")]
    wait: Duration = 1.0
    tags: list[str] = Field(default_factory=lambda: ["all"])

    def open(self, partition: str, resume: Position | None, context: WorkerContext) -> Reader:
        raise NotImplementedError


@register
class Watch(Listen):
    """Watch: a second event."""

    event: Literal["watch"] = "watch"  # type: ignore[assignment]


@register
class Store(Action):
    """Store: for the tests."""

    connector: Annotated[Literal["test-store"], Field(description="A store.")] = "test-store"
    action: Annotated[Literal["put"], Field(description="Put a record.")] = "put"
    account: None = None
    path: str = "out"

    def open(self, context: WorkerContext) -> Writer:
        raise NotImplementedError
