"""What the parts of a flow share while it runs on one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flowspec.connectors import WorkerContext
from flowspec.deadletters.store import LetterStore
from flowspec.delivery.failures import DeadLetters, Failures
from flowspec.delivery.health import Health
from flowspec.delivery.tally import Tally
from flowspec.errors import FatalError

if TYPE_CHECKING:
    from flowspec.connectors import Reader, Trigger, Writer
    from flowspec.deadletters.letter import DeadLetter, Letter
    from flowspec.deadletters.readers import StoreLock
    from flowspec.journal.journal import Journal
    from flowspec.policies import StopAfter
    from flowspec.records import Record
    from flowspec.steps.asking import Asker

__all__ = ["FlowFailure", "FlowRun"]

_CLOSE_TIMEOUT = 10.0
"""Seconds that a reader has for its last commits, where no stop sets a shorter time."""


@dataclass(frozen=True)
class FlowFailure:
    """The error that stopped a flow, with the place where it came up."""

    where: str
    """`trigger`, or the id of the step or sink."""
    worker: int
    error: BaseException
    record: Record | None = None

    def __str__(self) -> str:
        text = f"{self.where}: {self.error}" if str(self.error) else f"{self.where}: {self.error!r}"
        if self.record is not None:
            shown = self.record.raw[:200]
            text += f" (record {self.record.external_id or self.record.meta}: {shown!r})"
        return text


@dataclass
class FlowRun:
    """One run of a flow on one worker: its options, its stop, its counts and its first failure.

    The application makes one for each worker, hands it to the compiler, and may look at it from another thread.
    """

    flow: str
    state_dir: Path = Path(".pipelines")
    worker: int = 0
    workers: int = 1
    limit: int | None = None
    """Stop after that many records."""
    until_idle: float | None = None
    """Stop when nothing came for that many seconds and everything is delivered."""
    drain_timeout: float = 8.0
    """Seconds that a stop may take; what is not delivered then is left to the trigger's system."""
    replay: Iterator[Letter] | None = None
    """Letters of the store that are run through the flow, in place of what its trigger has."""
    stopping: threading.Event = field(default_factory=threading.Event)
    tally: Tally = field(default_factory=Tally)
    healths: list[Health] = field(default_factory=list)
    failure: FlowFailure | None = None
    """The first error that stopped the flow; later ones are its consequences."""
    readers: list[Reader] = field(default_factory=list)
    writers: list[Writer] = field(default_factory=list)
    locks: list[StoreLock] = field(default_factory=list)
    askers: list[Asker] = field(default_factory=list)
    """What steps ask other systems by."""
    triggers: dict[str, Trigger] = field(default_factory=dict)
    """The trigger of the flow, as the empty text, and the other ones of joins, by the ids of these."""
    stop_after: StopAfter | None = None
    """How many failures stop the flow."""
    journal: Journal | None = None
    """Where it is noted what becomes of records."""
    _stop_at: float = float("inf")

    def __post_init__(self) -> None:
        self.store = LetterStore(self.flow, self.state_dir)
        self.dead_letters: DeadLetters = self.store
        """Where records go that are given up; those that are tried again are in the store."""
        self.failures = Failures(self)

    @property
    def is_replay(self) -> bool:
        """Whether dead letters are replayed: what fails stays one."""
        return self.replay is not None

    @property
    def data_has_ended(self) -> bool:
        """Whether a flow that ends has had all its data. One that is stopped, or at its limit, goes on another time.

        Each worker has to know that by itself, whatever the others know by then.
        """
        ends = self.until_idle is not None or all(trigger.ends for trigger in self.triggers.values())
        return ends and self.limit is None and not self.stopping.is_set()

    def identify(self, record: Record) -> str | None:
        """What tells a record from all others, also when it comes again; None where that cannot be known."""
        side, after = ("", "") if record.trace is None else (record.trace.side, record.trace.after)
        # What a step with a memory made may have company of the same origin.
        trigger = None if after else self.triggers.get(side)
        identity = None if trigger is None else trigger.identity(record)
        return identity if identity is None or not side else f"{side}/{identity}"

    def stop(self) -> None:
        """Ask the flow to end: the trigger takes no more, and what is under way is delivered and committed."""
        if not self.stopping.is_set():
            self._stop_at = time.monotonic() + self.drain_timeout
            self.stopping.set()

    @property
    def drain_time_left(self) -> float:
        """Seconds that are left to deliver what is under way; unlimited while no stop was asked for."""
        return max(0.0, self._stop_at - time.monotonic())

    @property
    def close_time(self) -> float:
        """Seconds that a reader has to tell its system of the last commits."""
        return min(self.drain_time_left, _CLOSE_TIMEOUT)

    def context(self, name: str) -> WorkerContext:
        """What the reader or writer called `name` is told."""
        health = Health(name)
        self.healths.append(health)
        return WorkerContext(self.flow, self.worker, self.workers, self.stopping, health, self.readers, self.state_dir)

    def wait_to_retry(self, seconds: float, error: Exception) -> None:
        """Wait before the next attempt at a write.

        Raises:
            FatalError: a stop was asked for and its time is over; what is not delivered stays with the trigger's
                system.
        """
        if not self.stopping.wait(seconds):
            return
        if self.drain_time_left == 0:
            msg = f"stopped before everything was delivered, {self.tally.in_flight} records will come again: {error}"
            raise FatalError(msg) from error
        time.sleep(min(seconds, self.drain_time_left))

    @contextmanager
    def guard(self, where: str) -> Iterator[None]:
        """Keep the first error with its place: Bytewax loses it in a cluster."""
        try:
            yield
        except StopIteration:
            raise
        except BaseException as error:
            self.fail(FlowFailure(where, self.worker, error))
            raise

    def stop_for(self, letter: DeadLetter) -> NoReturn:
        """End the flow because of a record; it stays where it is.

        Raises:
            Exception: what went wrong with it.
        """
        self.fail(FlowFailure(letter.step, self.worker, letter.error, letter.record))
        raise letter.error

    def fail(self, failure: FlowFailure) -> None:
        """Keep `failure` if it is the first."""
        if self.failure is None:
            self.failure = failure

    def close(self) -> None:
        """Close everything that was opened, after the dataflow has ended, well or not."""
        for reader in self.readers:
            reader.stop()
            reader.close(self.close_time)
        for asker in self.askers:
            asker.close()
        for writer in self.writers:
            writer.close()
        if self.journal is not None:
            self.journal.close()
        for lock in self.locks:
            lock.free()
        self.dead_letters.close()
        self.store.close()
