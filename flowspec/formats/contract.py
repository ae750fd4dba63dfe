"""What a format is, and how a field of a spec takes one with options."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from flowspec.model import SpecModel

__all__ = ["Decoder", "Encoder", "Encoding", "FormatWithOptions", "LocalFormat", "one_of"]

Decoder: TypeAlias = Callable[["bytes | str"], Any]
"""Makes a body of a payload. Raises `ValueError` for a payload that is not of its format, `TransientError` where it
cannot tell at present: it is then asked again."""
Encoder: TypeAlias = Callable[[Any], bytes]
"""Makes a payload of a body. Raises `RecordError`, `TypeError` or `ValueError` for a body that it cannot encode,
`TransientError` where it cannot encode any at present."""


class FormatWithOptions(SpecModel):
    """A format with its options, as a spec has it: an object whose one key is the format's name."""

    @classmethod
    def name(cls) -> str:
        """The name of the format."""
        ((name, field),) = cls.model_fields.items()
        return field.alias or name


class LocalFormat(FormatWithOptions, ABC):
    """A format that needs nothing besides its options."""

    @abstractmethod
    def decoder(self) -> Decoder:
        """The function that decodes a payload."""

    @abstractmethod
    def encoder(self) -> Encoder:
        """The function that encodes a body."""


def one_of(*models: type[FormatWithOptions]) -> BeforeValidator:
    """What lets a field take objects of `models`, beside the names that its type lists."""
    by_name = {model.name(): model for model in models}

    def made(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if len(value) != 1:
            msg = f"a format with options is an object with one key, its name: {' or '.join(map(repr, by_name))}"
            raise ValueError(msg)
        (name,) = value
        if name not in by_name:
            raise ValueError(_unknown(name, by_name))
        return by_name[name].model_validate(value)

    return BeforeValidator(made)


def _unknown(name: Any, known: dict[str, Any]) -> str:
    # Expressions use a format themselves.
    from flowspec.expressions.errors import nearest

    near = nearest(str(name), known)
    remedy = f"did you mean {near!r}?" if near else f"there are {' and '.join(map(repr, known))}"
    return f"no format with options is called {str(name)[:40]!r}; {remedy}"


def _known(encoding: str) -> str:
    try:
        # Not every codec is one of texts.
        "".encode(encoding)
    except (LookupError, ValueError):
        msg = f"there is no encoding {encoding!r}; write one like 'utf-8', 'latin-1' or 'cp1252'"
        raise ValueError(msg) from None
    return encoding


Encoding: TypeAlias = Annotated[
    str,
    AfterValidator(_known),
    Field(
        description="How characters are bytes in a payload; one that arrives as a text, as from Amazon SQS, has been "
        "decoded already.",
        examples=["cp1252"],
    ),
]
"""The `encoding` of a format of texts."""
