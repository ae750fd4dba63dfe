"""Where a poller stands, as it is saved.

A poll walks through all pages of an API's list. Between two pages, and in the middle of one, the durable cursor has two
things: where the walk began (`value` and `seen`, the watermark of the walks that have ended), and the walk itself: the
page to get next, what was handed over so far, and the highest value met.

The watermark moves only when a walk has ended. So with the newest items on the first page a crash after it loses
nothing: the next run gets the page where the walk stood, and what is older still counts as new, because it is measured
by the watermark and not by what was handed over. What a page brings again, because the list has moved on meanwhile or
because only a part of the page was delivered, is known by its identity. If the page has expired, the walk begins anew
at the first one, still with the old watermark and with all that it remembers.

What is inserted behind the back of a walk is found by the next one, as long as it is higher than all that this one has
met: true of lists that have their newest items first or last, and of APIs whose pages are those of one moment.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

__all__ = ["Progress", "Walk", "identity"]


def identity(value: Any) -> str:
    """A short text that stands for a value, or for bytes."""
    content = value if isinstance(value, bytes) else orjson.dumps(value, str, orjson.OPT_SORT_KEYS)
    # 72 bits: among a million, two are the same once in ten billion times.
    return base64.b64encode(hashlib.blake2b(content, digest_size=9).digest()).decode("ascii")


@dataclass(frozen=True)
class Walk:
    """A poll that has not come to its last page."""

    now: str
    """When it began; the same for all its pages."""
    at: dict[str, Any] | None = None
    """The page to get; None for the first one."""
    page: int = 1
    """Its number."""
    silent: bool = False
    """Whether it only takes note of what is there."""
    listed: tuple[str, ...] = ()
    """Identities of what it has met and taken care of."""
    top: Any = None
    """The highest value of the cursor that it has met."""
    ties: tuple[str, ...] = ()
    """Identities of the items with that value."""

    def first_page(self) -> Walk:
        """The same walk, begun anew."""
        return replace(self, at=None, page=1)

    def next_page(self, at: dict[str, Any]) -> Walk:
        """The walk at its next page."""
        return replace(self, at=at, page=self.page + 1)


@dataclass(frozen=True)
class Progress:
    """What is known of an API's items."""

    value: Any = None
    """The highest value of the cursor in walks that have ended, or the last token; None before the first."""
    seen: tuple[str, ...] | None = ()
    """Identities of items that are known: of those with that value, or of all; None for any with that value."""
    odd: tuple[str, ...] = ()
    """Identities of items without a value, which are dead letters."""
    walk: Walk | None = field(default=None)

    @classmethod
    def load(cls, saved: dict[str, Any]) -> Progress:
        """What `saved` made, from JSON."""
        walk, seen = saved.get("walk"), saved.get("seen", ())
        return cls(
            saved.get("value"),
            None if seen is None else tuple(seen),
            tuple(saved.get("odd", ())),
            None if walk is None else Walk(**{**walk, "listed": tuple(walk["listed"]), "ties": tuple(walk["ties"])}),
        )

    def saved(self) -> dict[str, Any]:
        """In what JSON has."""
        saved: dict[str, Any] = {"value": self.value, "seen": None if self.seen is None else list(self.seen)}
        if self.odd:
            saved["odd"] = list(self.odd)
        if self.walk is not None:
            saved["walk"] = {**vars(self.walk), "listed": list(self.walk.listed), "ties": list(self.walk.ties)}
        return saved
