"""What of a record's own data comes into the journal."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from flowspec.journal.settings import JournalSettings
    from flowspec.records import Record

__all__ = ["Masks", "Privacy", "clean", "is_small"]

_EXTERNAL_ID = "external_id"
_MISSING = object()
_HIDDEN = "***"
_LONGEST_TEXT = 200
"""Characters that are kept of a text."""
_LONGEST_FIELD = 1000
"""Characters that a field may have as JSON."""
_LONGEST_ERROR = 500
_SHORTEST = 3
"""Characters that a value must have to be looked for in an error: shorter ones are everywhere."""
_DEEPEST = 50
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]*@")


class Masks:
    """Hashes in place of values, keyed with a secret of the state directory.

    Without the key nobody can find out a value by trying all; with it, equal values have equal hashes, in all flows of
    the directory. Whoever removes the key file makes the hashes of before meaningless.
    """

    def __init__(self, directory: Path) -> None:
        """Use the key in the directory of the journals; nothing is touched yet."""
        self._path = directory / "mask.key"

    def of(self, value: Any) -> str:
        """The hash of a value; a number has that of its text."""
        return _hash(value, self._key)

    def known(self, value: Any) -> str | None:
        """The same where the key exists and may be read: it is not made."""
        try:
            return _hash(value, self._path.read_bytes())
        except OSError:
            return None

    @cached_property
    def _key(self) -> bytes:
        try:
            return self._read_or_make()
        except OSError:
            # What must not be told is not told; only the next run has other hashes.
            return secrets.token_bytes(32)

    def _read_or_make(self) -> bytes:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file, name = tempfile.mkstemp(dir=self._path.parent, prefix="mask.key.")
            try:
                os.write(file, secrets.token_bytes(32))
                os.fsync(file)
                # Unlike a rename this leaves the key alone that another worker has made meanwhile.
                os.link(name, self._path)
            except FileExistsError:
                pass
            finally:
                os.close(file)
                Path(name).unlink()
        return self._path.read_bytes()


class Privacy:
    """Applies `fields`, `mask` and `never` of the settings."""

    def __init__(self, settings: JournalSettings, directory: Path) -> None:
        self._fields = settings.fields
        self._never = frozenset(settings.never)
        self._masked = frozenset(settings.mask)
        self._masks = Masks(directory)
        self.is_plain = not (self._fields or _EXTERNAL_ID in self._never | self._masked)
        """Whether External IDs are kept as they are, and nothing of bodies."""

    def external_id(self, value: str | None) -> str | None:
        """What is kept of an External ID."""
        if value is None or _EXTERNAL_ID in self._never:
            return None
        return self._masks.of(value) if _EXTERNAL_ID in self._masked else value

    def fields(self, body: Any) -> str | None:
        """The fields of a body that are kept, as JSON; None where it has none."""
        kept: dict[str, Any] = {}
        for path in self._fields:
            value = _found(body, path.split("."))
            if value is not _MISSING and (value := self._cleaned(value, path, _DEEPEST)) is not _MISSING:
                kept[path] = _bounded(value)
        return orjson.dumps(kept).decode() if kept else None

    def error(self, text: str, record: Record) -> str:
        """The text of an error without credentials, and without what it quotes of fields that are not to be told."""
        text = _CREDENTIALS.sub("", clean(text))
        for value, shown in sorted(self._secrets(record).items(), key=lambda each: -len(each[0])):
            text = text.replace(value, shown)
        return _cut(text, _LONGEST_ERROR)

    def _cleaned(self, value: Any, path: str, deepest: int) -> Any:
        if _covers(self._never, path):
            return _MISSING
        if _covers(self._masked, path):
            return self._masks.of(value)
        if isinstance(value, dict):
            items = {clean(name): self._cleaned(item, f"{path}.{name}", deepest - 1) for name, item in value.items()}
            return _HIDDEN if deepest == 0 else {name: item for name, item in items.items() if item is not _MISSING}
        if isinstance(value, (list, tuple)):
            return _HIDDEN if deepest == 0 else [self._cleaned(item, path, deepest - 1) for item in value]
        return value if value is None or isinstance(value, (bool, float)) or is_small(value) else _text(value)

    def _secrets(self, record: Record) -> dict[str, str]:
        """Texts that must not be told of a record, with what stands in their place."""
        found: dict[str, str] = {}
        if not (self._never or self._masked):
            return found
        bodies = [record.body, _received(record)]
        for paths, is_never in ((self._masked, False), (self._never, True)):
            values = [leaf for path in paths for body in bodies for leaf in _leaves(_found(body, path.split(".")))]
            if _EXTERNAL_ID in paths and record.external_id is not None:
                values.append(record.external_id)
            for value in values:
                if len(text := clean(value)) >= _SHORTEST:
                    found[text] = _HIDDEN if is_never else self._masks.of(value)
        return found


def clean(value: object) -> str:
    """`value` as a text that can be stored: it may have half a surrogate pair, or fail to say what it is."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        text = f"<{type(value).__name__} that cannot be shown>"
    # SQLite ends a text in JSON at a NUL.
    return text.replace("\0", "\N{SYMBOL FOR NULL}").encode("utf-8", "backslashreplace").decode()


def _covers(paths: frozenset[str], path: str) -> bool:
    """Whether one of `paths` is `path`, or leads to something that it is in."""
    return any(path == each or path.startswith(each + ".") for each in paths)


def _found(body: Any, path: Sequence[str]) -> Any:
    """What is at a path; where a list is on the way, a list of what its items have there."""
    for place, name in enumerate(path):
        if isinstance(body, (list, tuple)):
            found = [_found(item, path[place:]) for item in body]
            return [item for item in found if item is not _MISSING] or _MISSING
        if not isinstance(body, dict) or name not in body:
            return _MISSING
        body = body[name]
    return body


def _leaves(value: Any, deepest: int = _DEEPEST) -> Iterator[Any]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value if deepest else ():
            yield from _leaves(item, deepest - 1)
    elif value is not _MISSING and value is not None and not isinstance(value, bool):
        yield value


def _received(record: Record) -> Any:
    """The body that the record came with, as far as that can be told without its trigger."""
    if record.trace is not None and record.trace.body is not None:
        return record.trace.body
    try:
        return orjson.loads(record.raw)
    except orjson.JSONDecodeError:
        return None


def _hash(value: Any, key: bytes) -> str:
    return "#" + hashlib.blake2b(clean(value).encode(), key=key, digest_size=8).hexdigest()


def is_small(value: Any) -> bool:
    """Whether a value is a whole number that SQLite and JSON both have."""
    return isinstance(value, int) and -(2**63) <= value < 2**63


def _text(value: Any) -> str:
    return _cut(clean(value), _LONGEST_TEXT)


def _bounded(value: Any) -> Any:
    text = orjson.dumps(value).decode()
    return value if len(text) <= _LONGEST_FIELD else _cut(text, _LONGEST_FIELD)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "..."
