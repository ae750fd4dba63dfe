"""Sinks opened by themselves."""

from __future__ import annotations

import threading
from typing import Any

from flowspec.connectors import Action, WorkerContext, Writer
from flowspec.delivery.health import Health
from flowspec.records import Record

__all__ = ["open_writer", "records"]


def open_writer(action: Action) -> Writer:
    """What `action` opens on the only worker."""
    return action.open(WorkerContext("test", 0, 1, threading.Event(), Health("sink")))


def records(*bodies: Any) -> list[Record]:
    """A record for each body."""
    return [Record("raw", body) for body in bodies]
