"""Running a flow on Bytewax, on one worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowspec.delivery.run import FlowRun
    from flowspec.spec import FlowSpec

__all__ = ["execute"]


def execute(spec: FlowSpec, run: FlowRun, addresses: Sequence[str] | None = None) -> None:
    """Compile a flow and run it until it is stopped, idle, at its limit or at the end of its data.

    Args:
        spec: The flow.
        run: Its options; everything that it opens is closed at the end.
        addresses: `host:port` of each worker, where there are several.

    Raises:
        BaseException: the run failed; `run.failure` has why, where the flow itself knows.
    """
    from bytewax._bytewax import cli_main

    from flowspec.compiler import compile_flow, epoch_interval
    from flowspec.delivery.collector import collecting_rarely
    from flowspec.recovery import RecoveryStore

    # Its mere presence would start a web server.
    os.environ.pop("BYTEWAX_DATAFLOW_API_ENABLED", None)
    cluster: dict[str, Any] = {} if addresses is None else {"process_id": run.worker, "addresses": list(addresses)}
    store = RecoveryStore(spec.name, run.state_dir)
    try:
        flow = compile_flow(spec, run)
        # Standard output is for records, which sinks write to a stream of their own: what a step prints goes where the
        # logs go.
        with collecting_rarely(), redirect_stdout(sys.stderr):
            cli_main(
                flow,
                epoch_interval=epoch_interval(run, remembers=spec.remembers),
                recovery_config=store.open(spec, run.worker, run.workers) if spec.remembers else None,
                **cluster,
            )
    finally:
        run.close()
        store.close()
