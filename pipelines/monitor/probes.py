"""What the probes of a container are told: whether a run is alive, and whether it is ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipelines.snapshot import EndState

if TYPE_CHECKING:
    from flowspec.delivery.tally import Tally
    from pipelines.snapshot import Snapshot

__all__ = ["Liveness", "unreadiness"]

_STUCK_AFTER = 1800.0
"""Seconds that records may be under way without anything happening to one of them. A probe that takes a slow step for a
stuck one ends the process, the records come again, and it is ended again: so this is longer than a batch takes."""
_SILENT_AFTER = 60.0
"""Seconds that a worker of a cluster may report nothing; it does so several times per second."""


class Liveness:
    """Notices workers that only a restart can help; it is to be asked again and again.

    An end that is down is waited for, and a restart would not bring it back. A drain has a time of its own.
    """

    def __init__(self) -> None:
        self._moved: dict[int, tuple[Tally, float]] = {}
        """By worker, its counts, and since when it has had them."""

    def complaints(self, snapshot: Snapshot) -> list[str]:
        """What is wrong with each worker that is stuck; empty for a run that is alive."""
        if snapshot.state != "running":
            return []
        silent = [
            f"worker {part.worker} has reported nothing for {snapshot.taken_at - part.taken_at:.0f} s"
            for part in snapshot.parts
            if part.state == "running" and snapshot.taken_at - part.taken_at > _SILENT_AFTER
        ]
        stuck = [
            f"worker {part.worker} has {part.tally.in_flight} records under way, and nothing happened to one of them "
            f"for {still:.0f} s"
            for part in snapshot.parts or (snapshot,)
            if (still := self._still(part)) > _STUCK_AFTER
        ]
        return silent + stuck

    def _still(self, part: Snapshot) -> float:
        """For how many seconds a worker has done nothing though it could."""
        before, since = self._moved.get(part.worker, (None, part.taken_at))
        waits = part.tally.in_flight == 0 or any(end.state == "down" for end in part.ends.values())
        if waits or part.tally != before:
            since = part.taken_at
        self._moved[part.worker] = part.tally, since
        return part.taken_at - since


def unreadiness(snapshot: Snapshot) -> list[str]:
    """Why a run is not ready: its ends that are not reached. Empty for one that is.

    A sink is reached for the first time when it has something to write, and until then nothing can be said of it.
    """
    if snapshot.state != "running":
        return [f"the run is {snapshot.state}"]
    trigger = snapshot.ends.get("trigger", EndState())
    ends = {"trigger": trigger, **snapshot.ends}
    return [
        f"{name} is {end.state}" + (f": {end.reason}" if end.reason else "")
        for name, end in ends.items()
        if end.state == "down" or (name == "trigger" and end.state == "starting")
    ]
