"""Running a flow in processes that are watched over: those of one machine, or one of a cluster on several machines."""

from __future__ import annotations

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from flowspec.delivery.tally import Tally
from pipelines import logs
from pipelines.crew import Crew, Fault
from pipelines.outcome import STOPPING, STOPPING_AT_ONCE, say_error
from pipelines.peers import Peers, meet
from pipelines.relay import Relay
from pipelines.restarts import Restarts
from pipelines.running import RunError
from pipelines.signals import on_signals
from pipelines.snapshot import RunState, Snapshot
from pipelines.status import Status
from pipelines.worker import Job

if TYPE_CHECKING:
    from pipelines.membership import Membership
    from pipelines.options import RunOptions

__all__ = ["run_cluster"]

_log = logging.getLogger(__name__)

_STARTS = 5
"""How often other ports are tried: a port that was free may be taken when a worker opens it."""
_NEWS = 5.0
"""Seconds until it is known which other worker has failed: one that is lost is noticed by all at once."""


def run_cluster(options: RunOptions) -> int:
    """Run a flow in processes of its own until its end; answers the exit code.

    Raises:
        SpecError: the spec is wrong.
        FlowError: the address for metrics and health cannot be used.
    """
    spec = options.load()
    worker = None if options.membership is None else options.membership.worker
    logs.set_up(options.log_format, spec.name, worker, verbose=options.verbose)
    cluster = _Cluster(options, spec.name)
    status = Status(options.status, cluster.snapshot)

    def stop() -> None:
        _log.info(STOPPING)
        cluster.stopping.set()

    def stop_at_once() -> None:
        cluster.kill()
        say_error(STOPPING_AT_ONCE, options.log_format)
        status.finish(cluster.snapshot().ended(STOPPING_AT_ONCE))
        sys.stderr.flush()
        os._exit(1)

    with options.monitor(cluster.snapshot), status, on_signals(stop, stop_at_once):
        failure = cluster.run(relay=status.is_live)
        if failure is not None:
            say_error(failure, options.log_format)
    status.finish(cluster.snapshot().ended(failure))
    return 0 if failure is None else 1


class _Cluster:
    def __init__(self, options: RunOptions, flow: str) -> None:
        self._options = options
        self._flow = flow
        self._restarts = Restarts(options.restart)
        self._counted: tuple[Tally, Crew | None] = (Tally(), None)
        """What workers had counted until the last restart, and those that count now."""
        self._pause: RunState | None = None
        """Why no worker runs at present, where none does."""
        self.stopping = threading.Event()
        """Set it to have all workers drain and end."""

    def snapshot(self) -> Snapshot:
        """The whole run at this moment, from whatever thread."""
        before, crew = self._counted
        parts = [] if crew is None else [report.snapshot for report in crew.reports]
        whole = Snapshot.together(self._flow, self._options.workers, parts)
        whole.tally.merge(before)
        state = "stopping" if self.stopping.is_set() else self._pause or whole.state
        return replace(whole, state=state, restarts=self._restarts.count, last_failure=self._restarts.last)

    def kill(self) -> None:
        """End all workers at once."""
        _, crew = self._counted
        if crew is not None:
            crew.kill()

    def run(self, *, relay: bool) -> str | None:
        """Run until the workers have ended and are not to be started again; answers what failed first.

        Args:
            relay: Whether what the workers write to stderr is written by this process, above a live status.
        """
        while True:
            with ExitStack() as stack:
                stderr = stack.enter_context(Relay()).descriptor if relay else None
                failure = self._attempt(stderr)
            if failure is None or self.stopping.is_set():
                return failure
            delay = self._restarts.after(failure)
            if delay is None:
                return self._restarts.given_up
            self._pause = "restarting"
            self._forget_crew()
            _log.warning("%s in %.1f s: %s", self._restarts.which, delay, failure)
            if self.stopping.wait(delay):
                return self._restarts.stopped

    def _attempt(self, stderr: int | None) -> str | None:
        """Start the workers and wait for their ends; answers what failed first."""
        membership = self._options.membership
        if membership is None or membership.is_alone:
            return self._on_this_machine(stderr)
        return self._among_others(membership, stderr)

    def _on_this_machine(self, stderr: int | None) -> str | None:
        workers = self._options.workers
        for _ in range(_STARTS):
            addresses = _free_addresses(workers) if workers > 1 else None
            crew = Crew([Job(self._options, number, addresses) for number in range(workers)], stderr)
            fault = self._watch(crew, self.stopping.is_set)
            if not crew.had_no_port or self.stopping.is_set():
                break
        return None if fault is None else str(fault)

    def _among_others(self, membership: Membership, stderr: int | None) -> str | None:
        while True:
            self._pause = "waiting"
            try:
                peers = meet(membership, self._flow, self._options.spec, self.stopping)
            except RunError as error:
                return str(error)
            if peers is None:
                return None
            with closing(peers):
                crew = Crew([Job(self._options, membership.worker, membership.addresses)], stderr)
                failure = self._told(peers, self._watch(crew, partial(self._is_over, peers)))
            if failure is not None or peers.stopped_by is None or self.stopping.is_set():
                return failure
            ended = f"{peers.stopped_by} was stopped, and the cluster with it"
            if not self._restarts.allowed:
                return ended
            _log.info("%s; it begins again when all are there", ended)
            self._forget_crew()

    def _is_over(self, peers: Peers) -> bool:
        """Whether a worker that is one of a cluster is to stop; the others are told when this process is."""
        if self.stopping.is_set():
            peers.stop()
        return self.stopping.is_set() or peers.stopped_by is not None or peers.lost is not None

    def _told(self, peers: Peers, fault: Fault | None) -> str | None:
        """Tell the others how it ended here, where that is not because of one of them; answers what failed first."""
        if fault is None:
            peers.leave()
            return None
        lost = peers.news(_NEWS if fault.is_consequence and not self.stopping.is_set() else 0.0)
        if lost is not None:
            return lost
        peers.fail(fault.how)
        return str(fault)

    def _watch(self, crew: Crew, is_over: Callable[[], bool]) -> Fault | None:
        self._counted = self._counted[0], crew
        self._pause = None
        self._restarts.begin()
        return crew.run(is_over)

    def _forget_crew(self) -> None:
        """Keep only what was counted by workers that have ended."""
        before = self.snapshot().tally
        before.in_flight = 0
        self._counted = before, None


def _free_addresses(count: int) -> tuple[str, ...]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
