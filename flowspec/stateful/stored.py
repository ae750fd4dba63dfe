"""What is in a recovery store, as far as Bytewax (0.21) says so: which steps have how many keys, and how large."""

from __future__ import annotations

import pickle
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from flowspec.errors import FatalError
from flowspec.stateful.buckets import count_of_keys

__all__ = ["Stored", "stored"]

_OPERATOR = "remember-"
_LATEST = """
SELECT step_id, ser_change FROM (SELECT step_id, ser_change, max(snap_epoch) FROM snaps GROUP BY step_id, state_key)
WHERE ser_change IS NOT NULL
"""
"""Of each bucket what was written last; nothing is left of one that is empty."""


@dataclass
class Stored:
    """What is stored for a step."""

    keys: int = 0
    size: int = 0
    """Bytes of what is remembered, without what the store itself needs."""


def stored(path: Path) -> dict[str, Stored]:
    """What is stored for which steps, by their ids, in the store in a directory; nothing is changed.

    Raises:
        FatalError: it cannot be read.
    """
    found: defaultdict[str, Stored] = defaultdict(Stored)
    for file in sorted(path.glob("part-*.sqlite3")):
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                rows = connection.execute(_LATEST).fetchall()
        except sqlite3.Error as error:
            msg = f"{file} cannot be read: {error}"
            raise FatalError(msg) from error
        for operator, pickled in rows:
            _, _, name = operator.partition(f".{_OPERATOR}")
            if name:
                snapshot: bytes = pickle.loads(pickled)  # noqa: S301 - our own
                found[name].keys += count_of_keys(snapshot)
                found[name].size += len(snapshot)
    return dict(found)
