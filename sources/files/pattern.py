"""Patterns of paths, matched level by level on the way down from a folder."""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path

__all__ = ["Levels", "Pattern"]

Levels = frozenset[int]
"""Which parts of a pattern the names in a folder may have to match: with `**`, several."""

_MAGIC = re.compile(r"[*?\[]")
_UNFINISHED = (".tmp", ".part")
"""How names of files end that somebody is writing, and renames when they are complete."""


class Pattern:
    """A folder to begin with, and what the names below it have to match.

    Hidden files and folders match only parts that have their dot, files that are not complete (`*.tmp`, `*.part`) only
    one that has their ending. A link to a folder matches only a part with its name, never `**`: so there are no loops.
    """

    def __init__(self, path: str, *, is_log: bool = False) -> None:
        """Match a path.

        Args:
            path: A folder, for the files in it, a file, or a pattern.
            is_log: Whether a path at which there is nothing is a file: a log, as it is being renamed. It is a folder
                otherwise.
        """
        names = list(Path(path).parts)
        magic = next((place for place, name in enumerate(names) if _MAGIC.search(name)), None)
        if magic is None:
            is_folder = Path(path).is_dir() or not (is_log or os.path.lexists(path))
            magic = len(names) if is_folder else len(names) - 1
        self.root = str(Path(*names[:magic]))
        """The folder to begin with."""
        parts = names[magic:] or ["*"]
        self._parts = [*parts, "*"] if parts[-1] == "**" else parts
        self._last = len(self._parts) - 1
        self._matches = [re.compile(fnmatch.translate(part)).match for part in self._parts]
        self.first = self._all({0})
        """The levels in the folder to begin with."""

    def has_file(self, name: str, levels: Levels) -> bool:
        """Whether a file of that name matches."""
        last = self._parts[-1]
        if self._last not in levels or (name.endswith(_UNFINISHED) and not last.endswith(_UNFINISHED)):
            return False
        return self._is_match(name, self._last)

    def below(self, name: str, is_link: bool, levels: Levels) -> Levels:
        """The levels in a folder of that name."""
        following = set()
        for level in levels:
            if self._parts[level] == "**":
                if not is_link and not name.startswith("."):
                    following.add(level)
            elif level < self._last and self._is_match(name, level):
                following.add(level + 1)
        return self._all(following)

    def _is_match(self, name: str, level: int) -> bool:
        if name.startswith(".") and not self._parts[level].startswith("."):
            return False
        return self._matches[level](name) is not None

    def _all(self, levels: set[int]) -> Levels:
        """These levels, and those behind `**`, which may stand for no folder at all."""
        found = set(levels)
        for level in levels:
            while self._parts[level] == "**":
                level += 1  # noqa: PLW2901 - on to the next part
                found.add(level)
        return frozenset(found)
