"""What is remembered of the files that were read, for as long as they exist."""

from __future__ import annotations

import os
import sys
from array import array
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sources.files.found import Found

if TYPE_CHECKING:
    from sources.files.scanning import Scan

__all__ = ["Remembered", "path_of", "text_of"]

_MANY = 1000
"""How many files are listed one by one before they are packed, and how many may be remembered in vain."""


def text_of(path: str) -> str:
    """A path as JSON has it, whatever its bytes are."""
    return quote_from_bytes(os.fsencode(path), safe="/ !#$&'()*+,:;=@[]^{}~")


def path_of(text: str) -> str:
    """The path of `text_of`."""
    return os.fsdecode(unquote_to_bytes(text))


class Remembered:
    """The files that were read: their identities, of eight bytes each, for as long as they exist.

    Those that leave the folder when they are delivered are remembered with their paths until they have left.
    """

    def __init__(self, state: dict[str, Any], *, leave: bool) -> None:
        """Begin with what a state was; `leave` says whether files are to leave when they were read."""
        self._leave = leave
        self._packed: str = state.get("seen", "")
        self._fresh: list[int] = list(state.get("fresh", ()))
        self._leaving: list[tuple[str, int]] = [(path, identity) for path, identity in state.get("leaving", ())]
        self._known = {*_unpacked(self._packed), *self._fresh, *(identity for _, identity in self._leaving)}

    def __contains__(self, identity: object) -> bool:
        return identity in self._known

    def __len__(self) -> int:
        return len(self._known)

    def add(self, found: Found) -> None:
        """Remember a file that is not to be read."""
        self._known.add(found.identity)
        self._fresh.append(found.identity)

    def add_read(self, found: Found) -> None:
        """Remember a file that was read."""
        if self._leave:
            self._known.add(found.identity)
            self._leaving.append((text_of(found.path), found.identity))
        else:
            self.add(found)

    def forget(self, left: Collection[int]) -> None:
        """Forget files that have left by now."""
        if not left or not self._leaving:
            return
        self._known.difference_update(identity for _, identity in self._leaving if identity in left)
        self._leaving = [entry for entry in self._leaving if entry[1] not in left]

    def forget_gone(self, scan: Scan) -> None:
        """Forget files that are not there any more, once there are many of them.

        Where nothing is there, nothing is forgotten: perhaps a disk is not mounted.
        """
        if not scan.faults and 0 < scan.count < (len(self._known) - _MANY) / 2:
            leaving = {identity for _, identity in self._leaving}
            self._known = self._known.intersection(scan.identities()) | leaving
            self._pack()

    def tidy(self) -> None:
        """Pack what is listed, when it has become much."""
        if len(self._fresh) > _MANY:
            self._pack()

    def _pack(self) -> None:
        self._packed = _packed(self._known.difference(identity for _, identity in self._leaving))
        self._fresh = []

    def states(self) -> Callable[[int], dict[str, Any]]:
        """What tells the state of now, without the last so many files; it may be asked later, on any thread."""
        packed, fresh, leaving, leave = self._packed, tuple(self._fresh), tuple(self._leaving), self._leave

        def state(without: int = 0) -> dict[str, Any]:
            parts = {
                "seen": packed,
                "fresh": fresh if leave else fresh[: len(fresh) - without],
                "leaving": leaving[: len(leaving) - without] if leave else leaving,
            }
            return {name: part for name, part in parts.items() if part}

        return state


def _packed(identities: Collection[int]) -> str:
    numbers = array("Q", identities)
    if sys.byteorder == "big":
        numbers.byteswap()
    return b64encode(numbers.tobytes()).decode("ascii")


def _unpacked(text: str) -> array[int]:
    numbers = array("Q", b64decode(text))
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers
