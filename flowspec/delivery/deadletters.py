"""The dead-letter store: records that could not be processed, each with what is needed to mend and replay it."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from flowspec.errors import FatalError, RecordError
from flowspec.jsonlines import Appender
from flowspec.records import Record

__all__ = ["DeadLetter", "DeadLetters"]

_DEEPEST = 100
"""Levels of lists and objects that are kept as such; orjson writes 254."""
_INTEGERS = range(-(2**63), 2**64)
"""What orjson writes as a number. An SQS attribute may have 38 digits."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that is given up."""

    record: Record
    step: str
    """Id of the step or sink that failed, `decode` or `external_id`."""
    error: BaseException
    attempts: int
    first_try: float
    """Seconds since the epoch."""


class DeadLetters:
    """Keeps dead letters in a file of JSON lines, one for each flow; safe with several workers.

    Each line has: `flow`, `external_id`, `step`, `error` (`type`, `message`, `cause`), `attempts`, `first_try` and
    `last_try` (UTC), `origin` (the record's `meta`), `key`, `headers`, and the `payload` exactly as it was received:
    `text`, or `base64` where it is not UTF-8. `body` is what the step that failed was given, null where the payload was
    not decoded; what JSON does not have is in it as text.
    """

    def __init__(self, flow: str, state_dir: Path) -> None:
        self._flow = flow
        self.path = state_dir / "dead-letters" / f"{flow}.jsonl"
        """The file; it is made with the first dead letter."""
        self._file = Appender(self.path)

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Store dead letters; when it returns they are on the disk.

        Raises:
            FatalError: they cannot be stored, so nothing may be acknowledged.
        """
        now = datetime.now(timezone.utc)
        try:
            self._file.append([self._line(letter, now) for letter in letters])
        except OSError as error:
            msg = f"dead letters cannot be stored in {self.path}: {error.strerror or error}"
            raise FatalError(msg) from error

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """All dead letters, oldest first."""
        if self.path.exists():
            with self.path.open("rb") as file:
                # A last line without its end is being written, or was torn by a crash: it is not stored yet.
                yield from (orjson.loads(line) for line in file if line.endswith(b"\n"))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _line(self, letter: DeadLetter, now: datetime) -> bytes:
        record, error = letter.record, letter.error
        cause = error.__cause__
        return orjson.dumps(
            {
                "flow": self._flow,
                "external_id": _plain(record.external_id),
                "step": letter.step,
                "error": {
                    "type": type(error).__name__,
                    "message": _text(error),
                    "cause": None if cause is None else f"{type(cause).__name__}: {_text(cause)}",
                },
                "attempts": letter.attempts,
                "first_try": datetime.fromtimestamp(letter.first_try, tz=timezone.utc),
                "last_try": now,
                "origin": _plain(record.meta),
                "key": _plain(record.key),
                "headers": _plain(record.headers),
                "payload": _payload(record.raw),
                "body": None if isinstance(record.body, RecordError) else _plain(record.body),
            },
            option=orjson.OPT_UTC_Z,
        )


def _payload(raw: bytes | str) -> dict[str, str]:
    try:
        data = raw.encode("utf-8") if isinstance(raw, str) else raw
        return {"text": data.decode("utf-8")}
    except UnicodeEncodeError:
        return {"base64": base64.b64encode(str(raw).encode("utf-8", "surrogatepass")).decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def _text(value: object) -> str:
    """`value` as a text that can be stored: it may have half a surrogate pair, or fail to say what it is."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a user's class may raise anything
        text = f"<{type(value).__name__} that cannot be shown>"
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any, deepest: int = _DEEPEST) -> Any:
    """`value` in what JSON has; a dead letter must never fail because of what it describes."""
    if value is None or type(value) in (bool, float, datetime) or (type(value) is int and value in _INTEGERS):
        return value
    if isinstance(value, (bytes, bytearray)):
        return _payload(bytes(value))
    if deepest and isinstance(value, dict):
        return {_text(name): _plain(item, deepest - 1) for name, item in value.items()}
    if deepest and isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, deepest - 1) for item in value]
    return _text(value)
