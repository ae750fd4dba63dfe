"""One process of a cluster that runs a pinned flow with a recovery store.

python -m tests.sources.kafka.pinned_process SPEC ADDRESSES PROCESS DIRECTORY UNTIL_IDLE
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from flowspec import loads
from flowspec.compiler import compile_flow
from flowspec.delivery.run import FlowRun

__all__: list[str] = []


def main(spec: str, addresses: str, process: str, directory: str, until_idle: str) -> None:
    flow_spec = loads(spec)
    workers = addresses.split(";")
    run = FlowRun(flow_spec.name, Path(directory), int(process), len(workers), until_idle=float(until_idle))
    cluster_main(
        compile_flow(flow_spec, run),
        workers if len(workers) > 1 else [],
        int(process),
        epoch_interval=timedelta(milliseconds=100),
        recovery_config=RecoveryConfig(Path(directory, "store")),
    )
    run.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
