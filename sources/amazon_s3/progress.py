"""Which objects are new, remembered in little memory."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import AwareDatetime, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from sources.amazon_s3.bucket import Stored

__all__ = ["Order", "Progress", "beginning"]

Order: TypeAlias = Literal["modified", "key"]


_time = TypeAdapter[datetime](AwareDatetime)


def beginning(order: Order, since: Any) -> dict[str, Any] | None:
    """The state to begin with where nothing is saved; None for the present time.

    Raises:
        ValueError: `since` is nothing to begin at.
    """
    if since == "beginning":
        return {}
    if since == "now":
        return None
    if order == "key":
        if not isinstance(since, str):
            msg = f"{since!r} is nothing to begin at: give 'now', 'beginning', or a key"
            raise ValueError(msg)
        return {"at": since}
    try:
        return {"since": int(_time.validate_python(since).timestamp())}
    except ValidationError:
        msg = f"{since!r} is nothing to begin at: give 'now', 'beginning', or a time like '2024-05-01T00:00:00Z'"
        raise ValueError(msg) from None


class Progress:
    """How far the objects of a prefix are read.

    A listing has them in the order of their keys. Where keys grow, the last one that was read is all there is to
    remember. Where they do not, the whole prefix is listed again and again, in sweeps, each of which goes on behind the
    last key that it has passed. In a sweep an object is new that was modified at `floor` or later and is not among
    those `read` already. At the end of a sweep the floor rises to `lag` seconds before the newest object that was read,
    or before the sweep began if that is earlier, for what came during it may have come behind its back. What was
    modified before that is forgotten: missed is only what appears later than that.
    """

    def __init__(self, order: Order, lag: int, saved: dict[str, Any]) -> None:
        """Go on at what `state` or `beginning` said."""
        self._order = order
        self._lag = lag
        self._since: int = saved.get("since", 0)
        self.at: str = saved.get("at", "")
        """The last key that was passed."""
        self._floor: int = saved.get("floor", self._since)
        self._newest: int = saved.get("newest", 0)
        self._began: int = saved.get("began", self._newest)
        self._read: defaultdict[int, set[int]] = defaultdict(set)
        for second, identities in saved.get("read", {}).items():
            self._read[int(second)].update(identities)

    def state(self) -> dict[str, Any]:
        """What there is to remember, in what JSON has."""
        state: dict[str, Any] = {"since": self._since, "at": self.at}
        if self._order == "modified":
            state |= {"floor": self._floor, "newest": self._newest, "began": self._began}
            state["read"] = {str(second): list(identities) for second, identities in self._read.items()}
        return state

    def begin_sweep(self, now: int) -> None:
        """Take note of the server's time, in seconds since the epoch, when listing begins at the first key."""
        self._began = now

    def is_new(self, stored: Stored) -> bool:
        """Whether an object behind `at` is to be read."""
        second = stored.second
        if self._order == "key":
            # Of its time only `since: now` makes something.
            return second >= self._since
        return second >= self._floor and _identity(stored) not in self._read.get(second, ())

    def add(self, stored: Stored) -> None:
        """Take note that an object was read."""
        self.at = stored.key
        if self._order == "modified":
            second = stored.second
            self._newest = max(self._newest, second)
            if second >= self._horizon():
                self._read[second].add(_identity(stored))

    def end_sweep(self) -> None:
        """Take note that there is nothing behind `at` at present."""
        if self._order == "modified":
            self.at = ""
            self._floor = max(self._since, self._horizon())
            for second in [second for second in self._read if second < self._floor]:
                del self._read[second]

    def _horizon(self) -> int:
        """Objects that were modified before that do not appear any more."""
        return min(self._newest, self._began) - self._lag


def _identity(stored: Stored) -> int:
    """64 bits that are others when an object is replaced."""
    named = f"{stored.key}\0{stored.etag}\0{stored.second}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(named, digest_size=8).digest(), "big")
