"""Environment variables, and the contents of files, in the texts of a document."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath

from flowspec.expressions.errors import nearest
from flowspec.loading.document import Document, texts
from flowspec.loading.problems import Path, Problem

__all__ = ["VariableError", "fill_in", "fill_in_text"]

_VARIABLE = re.compile(
    r"\$(?P<escape>\$\{)"
    r"|\$\{(?:file:(?P<file>[^}]*)\}|(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<default>[^}]*))?\})?"
)
_LONGEST_FILE = 1024 * 1024
"""Bytes. A certificate has some thousands; what has more was not meant, and a device has no end."""


class VariableError(ValueError):
    """A variable that is not set, or not written as one; `hint` says what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def fill_in(document: Document, environ: Mapping[str, str], folder: FilePath) -> Document:
    """Put what variables stand for in place of them.

    `${NAME}` and `${NAME:default}` are variables of `environ`, `${file:PATH}` is the content of a file, where a
    relative path begins at `folder`, and `$${` is a plain `${`.
    """
    variables: dict[Path, str] = {}
    problems: list[Problem] = []
    value = copy.deepcopy(document.value)
    filled = replace(document, value=value)
    for path, text in texts(document.value):
        # What tests give to a flow is data.
        if "${" not in text or not path or path[0] == "tests":
            continue
        try:
            filled.at(path[:-1])[path[-1]] = fill_in_text(text, environ, folder)
        except VariableError as error:
            problems.append(document.problem(path, str(error), error.hint))
        variables[path] = text
    return replace(filled, variables=variables).followed_by(problems, value)


def fill_in_text(text: str, environ: Mapping[str, str], folder: FilePath) -> str:
    """`text` with its variables in place.

    Raises:
        VariableError: one is not set and has no default, or a file cannot be read.
    """

    def value(match: re.Match[str]) -> str:
        if match["escape"]:
            return "${"
        if match["file"] is not None:
            return _content(match["file"], folder)
        if match["name"] is None:
            msg = "a variable is written '${NAME}', '${NAME:default}' or '${file:PATH}'"
            raise VariableError(msg, "write '$${' for a plain '${'")
        return _variable(match["name"], match["default"], environ)

    return _VARIABLE.sub(value, text)


def _variable(name: str, default: str | None, environ: Mapping[str, str]) -> str:
    found = environ.get(name, default)
    if found is None:
        near = nearest(name, environ)
        msg = f"the environment variable {name} is not set"
        raise VariableError(msg, f"set it, or write '${{{name}:default}}'" + (f"; there is {near}" if near else ""))
    return found


def _content(written: str, folder: FilePath) -> str:
    """The text of a file without its last line end, which editors add and nobody means."""
    if not written or "${" in written:
        msg = f"'${{file:{written}}}' does not name a file" + (
            ": variables do not go into each other" if written else ""
        )
        raise VariableError(msg, "write the path itself, like '${file:/run/secrets/password}'")
    file = folder / written
    try:
        with file.open("rb") as opened:
            content = opened.read(_LONGEST_FILE + 1)
    except FileNotFoundError:
        msg = f"there is no file {file}"
        hint = "see that it is mounted, or correct the path" if file.is_absolute() else "make it, or correct the path"
        raise VariableError(msg, hint) from None
    except IsADirectoryError:
        msg = f"{file} is a directory"
        raise VariableError(msg, "name a file in it") from None
    except (OSError, ValueError) as error:
        msg = f"the file {file} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise VariableError(msg, "see that the user of this process may read it") from None
    if len(content) > _LONGEST_FILE:
        msg = f"the file {file} has more than {_LONGEST_FILE // 1024} KiB"
        raise VariableError(msg, "name a file that has one value")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        msg = f"the file {file} is not UTF-8 text"
        raise VariableError(msg, "save it as UTF-8") from None
    return text.removesuffix("\n").removesuffix("\r")
