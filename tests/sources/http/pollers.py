"""Pollers opened by themselves, and what they find."""

from __future__ import annotations

import json
import threading
from typing import Any

from flowspec.connectors import WorkerContext
from flowspec.delivery.health import Health
from flowspec.polling import Page, Poller
from flowspec.records import Record
from sources.http import HttpAccount, PollEndpoint

__all__ = ["Polling", "open_poller"]


def open_poller(url: str, account: dict[str, Any] | None = None, **fields: Any) -> Poller:
    """What a trigger opens on the only worker."""
    trigger = PollEndpoint.model_validate(
        {"url": url, "account": HttpAccount.model_validate(account) if account else None, **fields}
    )
    return trigger.poller(trigger.since, WorkerContext("test", 0, 1, threading.Event(), Health("trigger")))


class Polling:
    """A poller and its cursor, which goes through JSON as it does when it is saved."""

    def __init__(self, url: str, account: dict[str, Any] | None = None, most: int = 500, **fields: Any) -> None:
        self._options = url, account, fields
        self._most = most
        self.poller = open_poller(url, account, **fields)
        self.cursor: Any = None
        self.polls = 0

    def __enter__(self) -> Polling:
        return self

    def __exit__(self, *error: object) -> None:
        self.poller.close()

    def page(self) -> Page:
        """Poll once."""
        self.polls += 1
        page = self.poller.poll(self.cursor, self._most)
        self.cursor = page.cursor
        return page

    def records(self) -> list[Record]:
        """Poll until there is no more at this moment."""
        records: list[Record] = []
        while True:
            page = self.page()
            records += page.records
            if not page.more:
                return records

    def ids(self) -> list[Any]:
        """The ids of what is new."""
        return [record.body["id"] for record in self.records()]

    def crash(self, cursor: Any) -> None:
        """Begin again in a new process at a cursor that was saved."""
        url, account, fields = self._options
        self.poller.close()
        self.poller = open_poller(url, account, **fields)
        self.cursor = json.loads(json.dumps(cursor))
