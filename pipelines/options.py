"""What `pipelines run` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.spec import FlowSpec
    from pipelines.logs import LogFormat
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
