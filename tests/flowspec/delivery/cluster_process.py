"""One process of a cluster that runs a flow of memory connectors, and writes its journal when the flow has ended.

python -m tests.flowspec.delivery.cluster_process ADDRESSES PROCESS HOPS DIRECTORY
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from pathlib import Path

from bytewax.testing import cluster_main

from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, assemble, numbered, run_of

__all__: list[str] = []


def main(addresses: str, process: str, hops: str, directory: str) -> None:
    journal = Journal()
    run = run_of(Path(directory), worker=int(process), workers=2, until_idle=0.5)
    trigger = MemoryTrigger(journal=journal, records=numbered(300), batch_size=7, finite=False)
    actions = {sink: MemoryAction(journal=journal) for sink in ("one", "two")}
    flow = assemble(run, trigger, actions, int(hops))
    cluster_main(flow, addresses.split(";"), int(process), epoch_interval=timedelta(0))
    run.close()
    events = [[event.who, event.what, event.detail] for event in journal.events if event.what in ("write", "commit")]
    # Not on stdout: there the cluster itself writes when a process has to be waited for.
    Path(directory, f"journal-{process}.json").write_text(json.dumps(events))


if __name__ == "__main__":
    main(*sys.argv[1:])
