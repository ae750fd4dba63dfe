"""Changing the file of the accounts, whose comments and order stay as they are.

Tables are put in and taken out as lines of text. What came of it is read again: a file that has not exactly the
accounts that were meant is never written.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flowspec.errors import FlowError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["PRIVATE", "mode_of", "replace_text", "with_table", "without_table"]

PRIVATE = 0o600
"""The mode of a file that nobody but its owner reads."""
_LINE_END = re.compile(r"(?<=\n)")
"""What ends a line of TOML; Python's own lines end at other characters too."""
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def with_table(text: str, name: str, values: Mapping[str, Any]) -> str:
    """The text of a file with a table more, at its end.

    Raises:
        FlowError: TOML cannot have it.
    """
    lines = [f"[{_key(name)}]", *(f"{_key(key)} = {_value(value)}" for key, value in values.items())]
    before = text.rstrip()
    changed = (f"{before}\n\n" if before else "") + "\n".join(lines) + "\n"
    return _checked(changed, {**tomllib.loads(text), name: dict(values)}, f"account {name!r} cannot be added")


def without_table(text: str, name: str) -> str:
    """The text of a file without a table, those in it, and the comment right above it.

    Raises:
        FlowError: the table is not written as one, so that it cannot be told from the others.
    """
    lines = _LINE_END.split(text)
    begins = [_owner(line, lines[:at]) for at, line in enumerate(lines)]
    owners: list[str | None] = []
    for begun in begins:
        owners.append(begun if begun is not None or not owners else owners[-1])
    # What the file begins with is a heading of the whole, and no comment of its first table.
    heading = next((at for at, line in enumerate(lines) if not _is_comment(line)), 0)
    for at in range(len(lines) - 2, heading - 1, -1):
        if _is_comment(lines[at]) and (begins[at + 1] is not None or _is_comment(lines[at + 1])):
            owners[at] = owners[at + 1]
    changed = "".join(line for line, owner in zip(lines, owners, strict=True) if owner != name)
    meant = {key: table for key, table in tomllib.loads(text).items() if key != name}
    return _checked(changed, meant, f"account {name!r} cannot be told from the rest of the file; remove it by hand")


def mode_of(file: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(file.stat().st_mode)


def replace_text(file: Path, text: str, mode: int) -> None:
    """Put `text` in place of what a file has, in one go; whoever reads it meanwhile has the one or the other.

    Raises:
        FlowError: it cannot be written; it is as it was.
    """
    target = file.resolve()
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
        try:
            with os.fdopen(handle, "wb") as opened:
                opened.write(text.encode())
                opened.flush()
                os.fsync(handle)
            Path(temporary).chmod(mode)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink()
            raise
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror or error}"
        raise FlowError(msg) from error


def _owner(line: str, before: Sequence[str]) -> str | None:
    """The account that a line begins a table of; None where it does not."""
    if not line.lstrip().startswith("["):
        return None
    try:
        # In a text or list of several lines, it looks like it and is not: what is before it has no end.
        tomllib.loads("".join(before))
        return next(iter(tomllib.loads(line)), None)
    except tomllib.TOMLDecodeError:
        return None


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _checked(text: str, meant: Mapping[str, Any], otherwise: str) -> str:
    try:
        text.encode()
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, UnicodeEncodeError):
        found = None
    if found != meant:
        raise FlowError(otherwise)
    return text


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value) if isinstance(value, (int, float)) else _text(value)


def _text(value: Any) -> str:
    # TOML takes the escapes of JSON, and wants one more.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
