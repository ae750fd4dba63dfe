"""Environment variables in the texts of a document."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import replace

from flowspec.expressions.errors import nearest
from flowspec.loading.document import Document, texts
from flowspec.loading.problems import Path, Problem

__all__ = ["VariableError", "fill_in", "fill_in_text"]

_VARIABLE = re.compile(r"\$(?P<escape>\$\{)|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<default>[^}]*))?\})?")


class VariableError(ValueError):
    """A variable that is not set, or not written as one; `hint` says what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def fill_in(document: Document, environ: Mapping[str, str]) -> Document:
    """Put the variables of `environ` in place of `${NAME}` and `${NAME:default}`; `$${` is a plain `${`."""
    variables: dict[Path, str] = {}
    problems: list[Problem] = []
    value = copy.deepcopy(document.value)
    filled = replace(document, value=value)
    for path, text in texts(document.value):
        if "${" not in text or not path:
            continue
        try:
            filled.at(path[:-1])[path[-1]] = fill_in_text(text, environ)
        except VariableError as error:
            problems.append(document.problem(path, str(error), error.hint))
        variables[path] = text
    return replace(filled, variables=variables).followed_by(problems, value)


def fill_in_text(text: str, environ: Mapping[str, str]) -> str:
    """`text` with its variables in place.

    Raises:
        VariableError: one is not set and has no default.
    """

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if match["escape"]:
            return "${"
        if name is None:
            msg = "a variable is written '${NAME}' or '${NAME:default}'"
            raise VariableError(msg, "write '$${' for a plain '${'")
        found = environ.get(name, match["default"])
        if found is None:
            near = nearest(name, environ)
            msg = f"the environment variable {name} is not set"
            raise VariableError(msg, f"set it, or write '${{{name}:default}}'" + (f"; there is {near}" if near else ""))
        return found

    return _VARIABLE.sub(value, text)
