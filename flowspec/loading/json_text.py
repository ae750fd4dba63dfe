"""JSON with positions."""

from __future__ import annotations

import json
import re
from typing import Any

from flowspec.loading.document import MAX_DEPTH, Document, Draft, Place
from flowspec.loading.problems import Path, Problem, SpecError

__all__ = ["parse_json"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def parse_json(text: str, source: str) -> Document:
    """Read a JSON document.

    Raises:
        SpecError: it is not JSON.
    """
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        message = f"not valid JSON: {error.msg}"
        raise SpecError([Problem(source, "", error.lineno, error.colno, message, _hint(text, error))]) from None
    except (RecursionError, ValueError) as error:
        raise SpecError([Problem(source, "", 1, 1, f"not usable JSON: {error}")]) from None
    return _Reader(text, source).read()


def _hint(text: str, error: json.JSONDecodeError) -> str | None:
    rest, before = text[error.pos :].lstrip(), text[: error.pos].rstrip()
    if rest[:1] in "}]" and before.endswith(",") and rest:
        return "remove the comma before the bracket"
    if error.msg.startswith("Illegal trailing comma"):
        return "remove the comma"
    if rest.startswith("'"):
        return "write texts in double quotes"
    if rest.startswith(("//", "/*", "#")):
        return "JSON has no comments; YAML has"
    return None


class _Reader:
    """Walks through the tokens of a text that is known to be JSON."""

    def __init__(self, text: str, source: str) -> None:
        self._tokens = _TOKEN.finditer(text)
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]
        self._line = 1
        self._draft = Draft(source)

    def read(self) -> Document:
        return self._draft.done(self._value((), *self._next()))

    def _next(self) -> tuple[str, Place]:
        match = next(self._tokens)
        while self._line < len(self._starts) and self._starts[self._line] <= match.start():
            self._line += 1
        return match[0], Place(self._line, match.start() - self._starts[self._line - 1] + 1)

    def _value(self, path: Path, token: str, place: Place) -> Any:
        self._draft.values[path] = place
        if len(path) > MAX_DEPTH:
            raise SpecError([Problem(self._draft.source, "", *place, f"more than {MAX_DEPTH} levels deep")])
        if token.startswith("{"):
            return self._object(path)
        if token.startswith("["):
            return self._list(path)
        if token.lstrip("-") in ("NaN", "Infinity"):
            self._draft.refuse(path, place, f"{token} is not a number of JSON")
            return 0
        return json.loads(token)

    def _object(self, path: Path) -> dict[str, Any]:
        value: dict[str, Any] = {}
        while (token := self._next())[0] != "}":
            if token[0] == ",":
                continue
            key = json.loads(token[0])
            self._draft.add_key((*path, key), token[1], value)
            self._next()  # the colon
            value[key] = self._value((*path, key), *self._next())
        return value

    def _list(self, path: Path) -> list[Any]:
        value: list[Any] = []
        while (token := self._next())[0] != "]":
            if token[0] != ",":
                value.append(self._value((*path, len(value)), *token))
        return value
