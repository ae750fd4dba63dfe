"""The recovery store of a flow that remembers: made, checked and held by the flow itself, in the state directory."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from flowspec.deadletters.readers import StoreLock
from flowspec.errors import FatalError
from flowspec.stateful.contract import JoiningStep, StatefulStep

if TYPE_CHECKING:
    from bytewax.recovery import RecoveryConfig

    from flowspec.spec import FlowSpec

__all__ = ["RecoveryStore"]

_PARTITIONS = 2
"""Each costs every epoch some transactions; workers beyond that number send their state to others to be written. The
number cannot be changed later."""
_BASIS = "basis.json"


class RecoveryStore:
    """Where Bytewax keeps what the steps of a flow remember, and where its trigger stands.

    All workers of a flow use the same one, so on several machines the state directory has to be shared. It can be used
    with any number of workers, and with another one after each end of the flow.
    """

    def __init__(self, flow: str, state_dir: Path) -> None:
        """The store of a flow; nothing is touched yet."""
        self.path = state_dir / "recovery" / flow
        self._flow = flow
        self._lock = StoreLock(self.path.with_name(f"{flow}.running.lock"))

    def open(self, spec: FlowSpec, worker: int, workers: int = 1) -> RecoveryConfig:
        """Make it where there is none, see that it fits the flow, and have it for this run of so many workers.

        Raises:
            FatalError: it cannot be made, another run uses it, or what is in it belongs to other steps.
        """
        from bytewax.recovery import RecoveryConfig

        # The first worker stands for all: they come and go together.
        if worker == 0 and not self._lock.take():
            msg = (
                f"another run of {self._flow} uses its state in {self.path}; a flow that remembers runs once, with as "
                f"many workers as it needs"
            )
            raise FatalError(msg)
        try:
            self._make(spec, workers)
        except OSError as error:
            msg = f"the state cannot be kept in {self.path}: {error.strerror or error}"
            raise FatalError(msg) from error
        return RecoveryConfig(str(self.path))

    def is_in_use(self) -> bool:
        """Whether a run has it at this moment."""
        is_free = self._lock.take()
        self._lock.free()
        return not is_free

    def steps(self) -> dict[str, dict[str, Any]]:
        """What is remembered for which steps, by their ids; empty where there is no store.

        Raises:
            FatalError: it cannot be read.
        """
        try:
            steps: dict[str, dict[str, Any]] = orjson.loads((self.path / _BASIS).read_bytes())["steps"]
        except FileNotFoundError:
            return {}
        except (OSError, KeyError, TypeError, orjson.JSONDecodeError) as error:
            msg = f"{self.path / _BASIS} cannot be read: {error}"
            raise FatalError(msg) from error
        return steps

    def reset(self) -> None:
        """Forget all; the next run begins anew.

        Raises:
            FatalError: a run uses it.
        """
        if not self._lock.take():
            msg = f"a run of {self._flow} uses its state; stop it first"
            raise FatalError(msg)
        shutil.rmtree(self.path, ignore_errors=True)
        self.close()

    def close(self) -> None:
        """Leave it to the next run."""
        self._lock.free()

    def _make(self, spec: FlowSpec, workers: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        making = os.open(self.path.with_name(f"{self._flow}.making.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            # Whichever worker comes first makes it, the others wait.
            fcntl.flock(making, fcntl.LOCK_EX)
            steps = self.steps()
            _check(steps, _basis(spec))
            if not self.path.exists():
                _make_partitions(self.path)
            elif steps:
                _tidy(self.path, _partitions(spec, workers))
            # What a step that is new remembers begins now.
            fresh = self.path / f"{_BASIS}.new"
            fresh.write_bytes(orjson.dumps({"steps": _basis(spec)}, option=orjson.OPT_INDENT_2))
            fresh.replace(self.path / _BASIS)
        finally:
            os.close(making)


def _make_partitions(path: Path) -> None:
    from bytewax.recovery import init_db_dir

    # A crash must not leave half a store.
    making = path.with_name(f"{path.name}.new")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    init_db_dir(making, _PARTITIONS)
    making.rename(path)


def _partitions(spec: FlowSpec, workers: int) -> dict[str, Collection[str]]:
    """The partitions of each trigger, by the name of its input in the dataflow."""
    joins = [(f"trigger-{name}", step.other) for name, step in spec.named_steps() if isinstance(step, JoiningStep)]
    triggers = [("trigger", spec.trigger), *joins]
    return {name: trigger.for_state().partitions(workers) for name, trigger in triggers}


def _tidy(path: Path, partitions: Mapping[str, Collection[str]]) -> None:
    """Take out of a store what Bytewax (0.21) stumbles over. No worker has begun to write: each waits for all others.

    It panics at the position of a partition that is gone, of a worker or a topic. And a kill -9 leaves snapshots of an
    epoch that has not ended. When the same epoch ends in the next run, those of keys that had no record in it this time
    count as its own, though the trigger hands over their records once more.
    """
    with ExitStack() as stack:
        stores = [stack.enter_context(closing(sqlite3.connect(file))) for file in sorted(path.glob("part-*.sqlite3"))]
        resume = _resume_epoch(stores)
        for store in stores:
            with store:
                store.execute("DELETE FROM snaps WHERE snap_epoch >= ?", (resume,))
                for name, there in partitions.items():
                    query = "SELECT DISTINCT step_id, state_key FROM snaps WHERE step_id LIKE '%.' || ?"
                    gone = [row for row in store.execute(query, (name,)) if row[1] not in there]
                    store.executemany("DELETE FROM snaps WHERE step_id = ? AND state_key = ?", gone)


def _resume_epoch(stores: Sequence[sqlite3.Connection]) -> int:
    """The first epoch that not every worker of the last run has ended, as Bytewax finds it."""
    runs = [row for store in stores for row in store.execute("SELECT ex_num, worker_count, resume_epoch FROM exs")]
    number, workers, began = max(runs, default=(0, 1, 1))
    reached: dict[int, int] = dict.fromkeys(range(workers), began)
    for store in stores:
        ended = store.execute("SELECT worker_index, worker_frontier FROM fronts WHERE ex_num = ?", (number,))
        reached.update((worker, max(epoch, reached[worker])) for worker, epoch in ended)
    return min(reached.values())


def _basis(spec: FlowSpec) -> dict[str, dict[str, Any]]:
    trigger = {"connector": spec.trigger.connector, "event": spec.trigger.event}
    steps = [(name, step) for name, step in spec.named_steps() if isinstance(step, StatefulStep)]
    return {"trigger": trigger, **{name: {"step": step.kind, **step.basis()} for name, step in steps}}


def _check(was: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> None:
    """See that a flow can go on with what was remembered for one.

    Raises:
        FatalError: it cannot; says why, and what to do.
    """
    wrong = [f"{name} is gone, or has another id" for name in was if name not in now]
    for name, basis in now.items():
        before = was.get(name, basis)
        differences = [
            f"{key} was {before.get(key)!r} and is {basis.get(key)!r}"
            for key in {**before, **basis}
            if before.get(key) != basis.get(key)
        ]
        wrong += [f"{name}: {', '.join(differences)}"] if differences else []
    if wrong:
        msg = (
            f"what is remembered does not fit the steps any more: {'; '.join(wrong)}. Undo the change (a step keeps "
            f"its state under its `id`); or forget all with `python -m pipelines state SPEC reset`; or give the flow "
            f"another name"
        )
        raise FatalError(msg)
