"""Pollers without a flow: what they find, page by page."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.polling import Page
from sources.files import NewFiles

__all__ = ["Polling", "polling", "without_rights", "write"]

_NOBODY = 65_534


class Polling:
    """A poller and the cursor of its last page."""

    def __init__(self, poller: Any, cursor: Any) -> None:
        self.poller = poller
        self.cursor = cursor
        self.pages: list[Page] = []

    def page(self, most: int = 1000) -> Page:
        page: Page = self.poller.poll(self.cursor, most)
        self.cursor = page.cursor
        self.pages.append(page)
        return page

    def bodies(self, most: int = 1000) -> list[Any]:
        """The bodies of all pages until there is no more now."""
        found = []
        while True:
            page = self.page(most)
            found += [record.body for record in page.records]
            if not page.more:
                return found

    def look_at_all(self) -> None:
        """Have the next poll look at every file, also at those that are known."""
        self.poller._folder._complete_at = 0.0

    def saved(self) -> Any:
        """The cursor as a new run has it."""
        return json.loads(json.dumps(self.cursor))


@contextmanager
def polling(path: Path | str, cursor: Any = None, since: Any = "beginning", **fields: Any) -> Iterator[Polling]:
    """Poll for texts, at once, unless fields say otherwise."""
    trigger = NewFiles(**{"path": str(path), "format": "text", "settle_time": 0, **fields})
    context = WorkerContext("test", 0, 1, threading.Event(), Health("trigger"))
    with closing(trigger.poller(since, context)) as poller:
        yield Polling(poller, cursor)


def write(path: Path, *lines: str, at: float | None = None) -> Path:
    """Write a file of lines, as if it were at that time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    if at is not None:
        os.utime(path, (at, at))
    return path


@contextmanager
def without_rights() -> Iterator[None]:
    """Be somebody who owns nothing: for the superuser nothing is forbidden."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
