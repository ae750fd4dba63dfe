"""Writing tests down: into the text of a JSON file, of which all else stays as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowspec.errors import FlowError
from flowspec.loading.document import Document, Place
from flowspec.loading.files import read_text
from flowspec.loading.json_text import parse_json

__all__ = ["add_test", "write_expected"]


def write_expected(document: Document, expected: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Write what is expected of tests, by their index, into the file that a document was read from.

    Raises:
        FlowError: it is not a JSON file, or cannot be written.
    """
    file = Path(document.source)
    if file.suffix.lower() in (".yaml", ".yml"):
        msg = (
            f"{file}: YAML is not written, as its comments and layout would be lost; "
            f"write what was seen into it, or keep the tests in {file.name.split('.')[0]}.test.json"
        )
        raise FlowError(msg)
    text = _Text(read_text(file))
    # From the end, so that the places of those before stay right.
    for index, value in sorted(expected, reverse=True, key=lambda pair: pair[0]):
        if (place := document.values.get(("tests", index, "expect"))) is not None:
            text.replace(place, value)
        else:
            key, given = (where["tests", index, "given"] for where in (document.keys, document.values))
            text.insert(given, f',\n{text.indent(key)}"expect": {text.dumps(value, key)}')
    _write(file, text.content)


def add_test(file: Path, test: dict[str, Any]) -> None:
    """Add a test to the end of a file, which is made where there is none.

    Raises:
        FlowError: it is not a JSON file with a list of tests, or cannot be written.
    """
    if not file.exists():
        _write(file, json.dumps([test], indent=2, ensure_ascii=False) + "\n")
        return
    text = _Text(read_text(file))
    document = parse_json(text.content, str(file))
    if not isinstance(document.value, list):
        msg = f"{file}: the tests of a flow are a list; nothing is added to another value"
        raise FlowError(msg)
    if document.value:
        last = document.values[len(document.value) - 1,]
        text.insert(last, f",\n{text.indent(last)}{text.dumps(test, last)}")
    else:
        text.replace(document.values[()], [test])
    _write(file, text.content)


class _Text:
    """The text of a JSON document, changed at places of it."""

    def __init__(self, content: str) -> None:
        self.content = content
        self._lines = [0, *(match.end() for match in re.finditer("\n", content))]

    def indent(self, place: Place) -> str:
        """The blanks that the line of a place begins with."""
        line = self.content[self._lines[place.line - 1] :]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def dumps(self, value: Any, place: Place) -> str:
        """A value that begins in the line of a place."""
        return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + self.indent(place))

    def replace(self, place: Place, value: Any) -> None:
        """Put a value in place of the one that begins at a place."""
        start, end = self._range(place)
        self.content = self.content[:start] + self.dumps(value, place) + self.content[end:]

    def insert(self, place: Place, text: str) -> None:
        """Put a text behind the value that begins at a place."""
        _, end = self._range(place)
        self.content = self.content[:end] + text + self.content[end:]

    def _range(self, place: Place) -> tuple[int, int]:
        start = self._lines[place.line - 1] + place.column - 1
        _, end = json.JSONDecoder().raw_decode(self.content, start)
        return start, end


def _write(file: Path, text: str) -> None:
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        msg = f"{file}: cannot be written: {error.strerror or error}"
        raise FlowError(msg) from error
