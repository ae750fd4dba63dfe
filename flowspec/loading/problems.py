"""What is wrong with a spec, for the person who wrote it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from flowspec.errors import FlowError

__all__ = ["Path", "Problem", "SpecError", "show_path"]

Path: TypeAlias = "tuple[str | int, ...]"
"""The keys and indexes that lead to a value of a document."""

_PLAIN_KEY = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


@dataclass(frozen=True)
class Problem:
    """One mistake, its place and what to do about it."""

    source: str
    """The file it is in."""
    path: str
    """Where in the document: `steps[1].map.cents`; empty for the document as a whole."""
    line: int
    """Counted from 1; 0 where there is no line, as for a missing file."""
    column: int
    message: str
    hint: str | None = None

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        path = f"{self.path}: " if self.path else ""
        return f"{place}: {path}{self.message}" + (f"; {self.hint}" if self.hint else "")


class SpecError(FlowError):
    """A spec with everything that is wrong with it, in the order of its lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        # An account that is wrong is so wherever it is used.
        distinct = set(problems)
        self.problems = sorted(
            distinct, key=lambda problem: (problem.source, problem.line, problem.column, problem.path)
        )
        count = len(self.problems)
        lines = [str(problem) for problem in self.problems]
        super().__init__("\n".join([*lines, f"{count} problem{'s' if count > 1 else ''} found"]))


def show_path(path: Path) -> str:
    """A path the way people read it: `steps[1].map.cents`, `headers["x.y"]`."""
    shown = ""
    for key in path:
        if isinstance(key, int):
            shown += f"[{key}]"
        elif _PLAIN_KEY.fullmatch(key):
            shown += f".{key}" if shown else key
        else:
            shown += f'["{key}"]'
    return shown
