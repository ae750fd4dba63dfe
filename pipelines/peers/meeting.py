"""The beginning of a cluster on several machines."""

from __future__ import annotations

import hashlib
import logging
import threading
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.peers.follower import Follower
from pipelines.peers.lead import Lead
from pipelines.peers.peers import LEAD, Peers
from pipelines.peers.waiting import Waiting

if TYPE_CHECKING:
    from pipelines.membership import Membership

__all__ = ["meet"]

_log = logging.getLogger(__name__)


def meet(membership: Membership, flow: str, spec: Path, stopping: threading.Event) -> Peers | None:
    """Wait for all workers of a cluster; None when a stop is asked for before they are there.

    Args:
        membership: Which of them this process is.
        flow: What it runs.
        spec: Its file, which has to be the same for all.
        stopping: Ends the waiting.

    Raises:
        RunError: this process cannot listen where the others look for it.
    """
    hello = {
        "say": "hello",
        "version": version("trigger-flows"),
        "flow": flow,
        "spec": hashlib.sha256(spec.read_bytes()).hexdigest(),
        "workers": len(membership.addresses),
        "worker": membership.worker,
    }
    waiting = Waiting(stopping)
    kind = Lead if membership.worker == LEAD else Follower
    peers: Peers = kind(membership, hello)
    met = False
    try:
        met = peers.gather(waiting)
    finally:
        if not met:
            peers.close()
    if not met:
        return None
    _log.info("all %d workers are there", len(membership.addresses))
    return peers
