"""What is served at which path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

import orjson

from pipelines.monitor.metrics import CONTENT_TYPE, as_metrics
from pipelines.monitor.probes import Liveness, unreadiness
from pipelines.status import Rate, as_json

if TYPE_CHECKING:
    from pipelines.snapshot import Snapshot

__all__ = ["Page", "Pages"]


@dataclass(frozen=True)
class Page:
    """An answer."""

    status: HTTPStatus
    content_type: str
    body: bytes


class Pages:
    """The pages about one run."""

    def __init__(self, look: Callable[[], Snapshot]) -> None:
        self._look = look
        self._rate = Rate()
        self._liveness = Liveness()
        self._pages: dict[str, Callable[[Snapshot], Page]] = {
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/status": self._status,
        }

    def at(self, path: str) -> Page:
        """The page at a path; for one that is unknown, which ones there are."""
        page = self._pages.get(path)
        if page is None:
            return _text(HTTPStatus.NOT_FOUND, f"not found; there are {', '.join(self._pages)}")
        return page(self._look())

    def _metrics(self, snapshot: Snapshot) -> Page:
        return Page(HTTPStatus.OK, CONTENT_TYPE, as_metrics(snapshot))

    def _healthz(self, snapshot: Snapshot) -> Page:
        return _verdict("alive", self._liveness.complaints(snapshot))

    def _readyz(self, snapshot: Snapshot) -> Page:
        return _verdict("ready", unreadiness(snapshot))

    def _status(self, snapshot: Snapshot) -> Page:
        places = {name: asdict(counts) for name, counts in snapshot.tally.places.items()}
        status = {**as_json(snapshot, self._rate.after(snapshot.tally.received)), "places": places}
        body = orjson.dumps(status, option=orjson.OPT_UTC_Z | orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        return Page(HTTPStatus.OK, "application/json", body)


def _verdict(good: str, complaints: Sequence[str]) -> Page:
    if complaints:
        return _text(HTTPStatus.SERVICE_UNAVAILABLE, "\n".join(complaints))
    return _text(HTTPStatus.OK, good)


def _text(status: HTTPStatus, text: str) -> Page:
    return Page(status, "text/plain; charset=utf-8", f"{text}\n".encode())
