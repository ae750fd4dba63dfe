"""What `pipelines run` was asked for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.restarts import RestartPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

    from flowspec.delivery.run import FlowRun
    from flowspec.spec import FlowSpec
    from pipelines.logs import LogFormat
    from pipelines.membership import Membership
    from pipelines.snapshot import Snapshot
    from pipelines.status import StatusMode

__all__ = ["RunOptions"]


@dataclass(frozen=True)
class RunOptions:
    """The options of a run; seconds where it is a time. Picklable."""

    spec: Path
    workers: int
    state_dir: Path
    accounts: Path | None
    until_idle: float | None
    limit: int | None
    drain_timeout: float
    status: StatusMode
    log_format: LogFormat
    verbose: bool
    http: tuple[str, int] | None = None
    """Where metrics and health are served: host and port."""
    restart: RestartPolicy = field(default_factory=RestartPolicy)
    membership: Membership | None = None
    """Which of the workers this process is, in a cluster of several that are started one by one."""

    def load(self) -> FlowSpec:
        """The flow.

        Raises:
            SpecError: with everything that is wrong with it.
        """
        from flowspec.loading import load

        return load(self.spec, self.accounts)

    def flow_run(self, spec: FlowSpec, worker: int = 0) -> FlowRun:
        """The run of the flow on one worker."""
        from flowspec.delivery.run import FlowRun

        return FlowRun(
            spec.name,
            self.state_dir,
            worker,
            self.workers,
            self.limit,
            self.until_idle,
            self.drain_timeout,
        )

    def monitor(self, look: Callable[[], Snapshot]) -> AbstractContextManager[object]:
        """Serves metrics and health while its block lasts, where that was asked for.

        Args:
            look: Gives the run as it is.
        """
        if self.http is None:
            return nullcontext()
        from pipelines.monitor import Monitor

        return Monitor(*self.http, look)
