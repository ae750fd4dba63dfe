"""The dead-letter store: records that could not be processed, each with what is needed to mend and replay it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import orjson

from flowspec.errors import FatalError
from flowspec.jsonlines import Appender
from flowspec.records import Record

__all__ = ["DeadLetter", "DeadLetters"]


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
    `text`, or `base64` where it is not UTF-8.
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
                yield from (orjson.loads(line) for line in file)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _line(self, letter: DeadLetter, now: datetime) -> bytes:
        record, error = letter.record, letter.error
        cause = error.__cause__
        return orjson.dumps(
            {
                "flow": self._flow,
                "external_id": record.external_id,
                "step": letter.step,
                "error": {
                    "type": type(error).__name__,
                    "message": _text(str(error)),
                    "cause": None if cause is None else _text(f"{type(cause).__name__}: {cause}"),
                },
                "attempts": letter.attempts,
                "first_try": datetime.fromtimestamp(letter.first_try, tz=timezone.utc),
                "last_try": now,
                "origin": _plain(record.meta),
                "key": _plain(record.key),
                "headers": _plain(record.headers),
                "payload": _payload(record.raw),
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


def _text(text: str) -> str:
    """`text` as it can be stored: an error may quote half a surrogate pair."""
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: Any) -> Any:
    """`value` in what JSON has; a dead letter must never fail because of what it describes."""
    if value is None or isinstance(value, (bool, int, float, datetime)):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (bytes, bytearray)):
        return _payload(bytes(value))
    if isinstance(value, dict):
        return {_text(str(name)): _plain(item) for name, item in value.items()}
    if isinstance(value, Iterable):
        return [_plain(item) for item in value]
    return _text(str(value))
