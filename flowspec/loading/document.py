"""A document between two phases of loading: its value, where everything in it stands, and what is wrong so far."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from flowspec.loading.problems import Path, Problem, show_path

__all__ = ["MAX_DEPTH", "Document", "Draft", "Place", "texts", "with_value"]

MAX_DEPTH = 50
"""Objects and lists in each other that a spec may have."""


class Place(NamedTuple):
    """Line and column, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Document:
    """A parsed document; every phase makes a new one."""

    source: str
    """The name of the file."""
    value: Any
    keys: Mapping[Path, Place]
    """Where the keys of objects stand, by the path of their value."""
    values: Mapping[Path, Place]
    """Where the values stand."""
    variables: Mapping[Path, str] = field(default_factory=dict)
    """The texts that named environment variables, as they are written; what they stand for is shown to nobody."""
    problems: tuple[Problem, ...] = ()

    def problem(self, path: Path, message: str, hint: str | None = None, *, at_key: bool = False) -> Problem:
        """A problem with the value at `path`, or with its key."""
        first, second = (self.keys, self.values) if at_key else (self.values, self.keys)
        place = first.get(path) or second.get(path) or Place(0, 0)
        return Problem(self.source, show_path(path), place.line, place.column, message, hint)

    def at(self, path: Path) -> Any:
        """The value at `path`."""
        value = self.value
        for key in path:
            value = value[key]
        return value

    def followed_by(self, problems: Iterable[Problem], value: Any) -> Document:
        """The document with more problems and another value."""
        return replace(self, value=value, problems=(*self.problems, *problems))

    def is_reported(self, path: Path) -> bool:
        """Whether something is known to be wrong at `path` or below it."""
        shown = show_path(path)
        return any(
            not path or problem.path == shown or problem.path.startswith((shown + ".", shown + "["))
            for problem in self.problems
            if problem.source == self.source
        )


class Draft:
    """A document while it is read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.keys: dict[Path, Place] = {}
        self.values: dict[Path, Place] = {}
        self.problems: list[Problem] = []

    def refuse(self, path: Path, place: Place, message: str, hint: str | None = None) -> None:
        """Note a problem."""
        self.problems.append(Problem(self.source, show_path(path), place.line, place.column, message, hint))

    def add_key(self, path: Path, place: Place, seen: Mapping[str, Any]) -> None:
        """Note where a key stands; one that its object has already is a problem."""
        if path[-1] in seen:
            first = self.keys[path].line
            self.refuse(path, place, f"the key is there twice, first in line {first}", "remove one of them")
        self.keys[path] = place

    def done(self, value: Any) -> Document:
        """The document."""
        return Document(self.source, value, self.keys, self.values, problems=tuple(self.problems))


def texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """All texts in a value with their paths; keys are none."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from texts(item, (*path, key))


def with_value(value: Any, path: Path, new: Any) -> Any:
    """`value` with `new` at `path`; objects on the way are made."""
    if not path:
        return new
    changed: Any = value.copy() if isinstance(value, (dict, list)) else {}
    inner = changed.get(path[0]) if isinstance(changed, dict) else changed[path[0]]
    changed[path[0]] = with_value(inner, path[1:], new)
    return changed
