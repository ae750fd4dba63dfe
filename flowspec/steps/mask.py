"""The step that hides values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

import orjson
from pydantic import BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import Self

from flowspec.errors import RecordError
from flowspec.model import SpecModel
from flowspec.steps.base import Step
from flowspec.steps.bodies import FieldPath, Tree, tree, with_bodies

if TYPE_CHECKING:
    from flowspec.records import Record
    from flowspec.steps.base import Transform

__all__ = ["Mask", "Masking"]

_REDACTED = "***"
_HASH_BYTES = 16
_SHORTEST_KEY, _LONGEST_KEY = 16, blake2b.MAX_KEY_SIZE
_SHORTEST_WITH_LAST4 = 8
"""Of anything shorter, more would be shown than hidden."""

_Fields: TypeAlias = Annotated[list[FieldPath], Field(min_length=1)]
_Hide: TypeAlias = Callable[[Any], Any]

_fields = TypeAdapter[list[str]](_Fields)


class Masking(SpecModel):
    """The fields to mask, and what stands in the place of their values."""

    fields: Annotated[
        _Fields,
        Field(
            description="The fields to mask; `customer.email` is a field of an object in the body, `lines.sku` one of "
            "each object in a list.",
            examples=[["customer.email", "lines.sku"]],
        ),
    ]
    how: Annotated[
        Literal["redact", "hash", "last4"],
        Field(
            description=f"`redact` writes `{_REDACTED}`. `hash` writes a keyed BLAKE2b hash of {_HASH_BYTES} bytes in "
            "hexadecimal, the same for the same value. `last4` keeps the last four characters of a text or whole "
            f"number, as `**** 1234`; what has fewer than {_SHORTEST_WITH_LAST4}, or is neither, is redacted.",
            examples=["hash"],
        ),
    ] = "redact"
    key: Annotated[
        SecretStr | None,
        Field(
            description=f"The secret key of `hash`, {_SHORTEST_KEY} bytes or more, from an environment variable. Flows "
            "with the same key make the same hashes; without it nobody can try out which value a hash is of.",
            examples=["${PSEUDONYM_KEY}"],
        ),
    ] = None

    @model_validator(mode="after")
    def _key_fits(self) -> Self:
        if (message := _misfit(self.how, self.key)) is not None:
            error = PydanticCustomError("mask_key", "{message}", {"message": message})
            # Without the input, which has the key in it.
            details = InitErrorDetails(type=error, loc=("key",), input=None)
            raise ValidationError.from_exception_data(type(self).__name__, [details])
        return self

    def hide(self) -> _Hide:
        """The function that makes of a value what stands in its place."""
        if self.how == "hash" and self.key is not None:
            return _hashing(self.key.get_secret_value().encode())
        return _last4 if self.how == "last4" else _redact


def _misfit(how: str, key: SecretStr | None) -> str | None:
    if how != "hash":
        return None if key is None else f'{how!r} has no key; leave \'key\' out, or write "how": "hash"'
    if key is None:
        return '\'hash\' needs a key from the environment: write "key": "${PSEUDONYM_KEY}"'
    if len(key.get_secret_value().encode()) < _SHORTEST_KEY:
        return f"the key has fewer than {_SHORTEST_KEY} bytes; make one with 'openssl rand -hex 32'"
    return None


def _chosen(value: Any) -> Any:
    """What is written, as what it can only be: so that a mistake in it is said once."""
    if isinstance(value, dict):
        return Masking.model_validate(value)
    if isinstance(value, list):
        return _fields.validate_python(value)
    if isinstance(value, Masking):
        return value
    kind, message = "mask_form", 'expected a list of fields, or an object like {"fields": ["card"], "how": "last4"}'
    raise PydanticCustomError(kind, message)


class Mask(Step):
    """Hide the values of fields; one that is not there is fine, and null stays null.

    In a list, each item is masked. Only the body is masked: a dead letter has the record as it was received, and
    headers, key and External ID stay as they are.
    """

    kind = "mask"

    mask: Annotated[
        _Fields | Masking,
        BeforeValidator(_chosen),
        Field(
            description="The fields, which are redacted; or an object with `fields`, `how` (`redact`, `hash` or "
            "`last4`) and, for `hash`, the `key`.",
            examples=[
                ["customer.email", "card"],
                {"fields": ["card"], "how": "last4"},
                {"fields": ["customer.email"], "how": "hash", "key": "${PSEUDONYM_KEY}"},
            ],
        ),
    ]

    def build(self) -> Transform:
        """The paths become a tree that is walked for each body."""
        masking = self.mask if isinstance(self.mask, Masking) else Masking(fields=self.mask)
        paths, hide = tree(masking.fields), masking.hide()

        def mask_fields(records: list[Record]) -> list[Record]:
            return with_bodies(records, [_masked(record.body, paths, hide) for record in records])

        return mask_fields


def _masked(value: Any, paths: Tree, hide: _Hide) -> Any:
    """`value` with something else at `paths`, as far as it has them; a copy on the way there."""
    if isinstance(value, (list, tuple)):
        return [_masked(item, paths, hide) for item in value]
    if not paths:
        return None if value is None else hide(value)
    if not isinstance(value, Mapping):
        return value
    masked = {**value}
    for name, below in paths.items():
        if name in masked:
            masked[name] = _masked(masked[name], below, hide)
    return masked


def _redact(_: Any) -> str:
    return _REDACTED


def _last4(value: Any) -> str:
    text = str(value) if isinstance(value, int) else value
    return f"**** {text[-4:]}" if isinstance(text, str) and len(text) >= _SHORTEST_WITH_LAST4 else _REDACTED


def _hashing(key: bytes) -> _Hide:
    fitting = key if len(key) <= _LONGEST_KEY else blake2b(key).digest()
    begun = blake2b(digest_size=_HASH_BYTES, key=fitting)

    def hashed(value: Any) -> str:
        state = begun.copy()
        state.update(_content(value))
        return state.hexdigest()

    return hashed


def _content(value: Any) -> bytes:
    """What is hashed of a value: a text, and what JSON has as a text or number, is the same as that text."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes):
        return value
    if type(value) is int:  # JSON's have no limit, those of orjson do
        return str(value).encode()
    try:
        written = orjson.dumps(value, str, orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        msg = f"a field cannot be hashed: {error}"
        raise RecordError(msg) from error
    return written.removeprefix(b'"').removesuffix(b'"')
