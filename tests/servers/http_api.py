"""An API of items in the manner of many: it pages in all ways, has its moods, and hands out tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import threading
from typing import Any
from urllib.parse import parse_qsl, urlencode

from tests.secrets import secret
from tests.servers.http_server import HttpServer, Reply, Seen, json_reply

__all__ = ["CLIENT_SECRET", "Items", "TokenServer"]


CLIENT_SECRET = secret("Client/part")
"""Of the client `flow`; a sign of it is to be quoted."""


class Items:
    """Items behind paths of a server: `/items`, in pages by the query that a request has.

    Each page is of the list as it was at the first page, as with an API whose tokens are good.
    """

    def __init__(self, server: HttpServer, path: str = "/items") -> None:
        self.path = path
        self.url = server.url + path
        self.size = 10
        """Items of a page."""
        self.order = "newest first"
        """Or `oldest first`, `shuffled`."""
        self.since: str | None = None
        """Query parameter below which items are left out, where the API has one."""
        self._items: list[dict[str, Any]] = []
        self._snapshots: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._random = random.Random(7)
        for name in ("all", "links", "next", "tokens", "numbers", "offsets", "lines"):
            server.route(f"{path}/{name}", getattr(self, f"_{name}"))

    def add(self, *items: dict[str, Any]) -> None:
        """Have more of them."""
        with self._lock:
            self._items.extend(items)

    def remove(self, *ids: Any) -> None:
        """Have these no more."""
        with self._lock:
            self._items = [item for item in self._items if item["id"] not in ids]

    def _listed(self, seen: Seen) -> list[dict[str, Any]]:
        with self._lock:
            items = list(self._items)
        least = seen.query.get(self.since or "")
        if least:
            items = [item for item in items if str(item["at"]) >= least]
        if self.order == "newest first":
            items.reverse()
        elif self.order == "shuffled":
            self._random.shuffle(items)
        return items

    def _all(self, seen: Seen) -> Reply:
        body = json.dumps(self._listed(seen)).encode()
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if seen.headers.get("if-none-match") == tag:
            return Reply(304, {"ETag": tag})
        return Reply(200, {"Content-Type": "application/json", "ETag": tag}, body)

    def _lines(self, seen: Seen) -> Reply:
        lines = b"".join(item["line"] + b"\n" for item in self._listed(seen))
        return Reply(200, {"Content-Type": "application/x-ndjson"}, lines)

    def _snapshot(self, seen: Seen) -> tuple[str, list[dict[str, Any]], int]:
        """The list that a walk is about, and how far the walk has come."""
        if token := seen.query.get("token"):
            name, at = json.loads(base64.urlsafe_b64decode(token))
            return name, self._snapshots[name], at
        with self._lock:
            name = str(len(self._snapshots))
            self._snapshots[name] = []
        self._snapshots[name] = self._listed(seen)
        return name, self._snapshots[name], 0

    def _page(self, seen: Seen) -> tuple[list[dict[str, Any]], str | None]:
        name, items, at = self._snapshot(seen)
        end = at + self.size
        token = base64.urlsafe_b64encode(json.dumps([name, end]).encode()).decode()
        return items[at:end], token if end < len(items) else None

    def _next_url(self, seen: Seen, token: str) -> str:
        return f"{self.url}/{seen.path.rpartition('/')[2]}?{urlencode({**seen.query, 'token': token})}"

    def _links(self, seen: Seen) -> Reply:
        page, token = self._page(seen)
        links = [f'<{self.url}/links>; rel="first"']
        if token:
            links.append(f'<{self._next_url(seen, token)}>; rel="next"')
        return json_reply(page, Link=", ".join(links))

    def _next(self, seen: Seen) -> Reply:
        page, token = self._page(seen)
        return json_reply({"data": page, "paging": {"next": self._next_url(seen, token)} if token else {}})

    def _tokens(self, seen: Seen) -> Reply:
        page, token = self._page(seen)
        return json_reply({"data": {"items": page}, "next_token": token})

    def _numbers(self, seen: Seen) -> Reply:
        at = (int(seen.query.get("page", "1")) - 1) * self.size
        return json_reply({"items": self._listed(seen)[at : at + self.size]})

    def _offsets(self, seen: Seen) -> Reply:
        at = int(seen.query.get("offset", "0"))
        return json_reply({"items": self._listed(seen)[at : at + self.size]})


class TokenServer:
    """Hands out tokens at `/token`, and knows which of them are good."""

    def __init__(self, server: HttpServer, *, lasts: Any = 3600) -> None:
        self.url = f"{server.url}/token"
        self.lasts = lasts
        self.good: set[str] = set()
        self._given = 0
        server.route("/token", self._answer)

    def protected(self, reply: Reply) -> Any:
        """A function of a server that answers only those who have a good token."""

        def answer(seen: Seen) -> Reply:
            token = seen.headers.get("authorization", "").removeprefix("Bearer ")
            return reply if token in self.good else json_reply({"error": "invalid_token"}, 401)

        return answer

    def _answer(self, seen: Seen) -> Reply:
        form = dict(parse_qsl(seen.body.decode()))
        pair = f"{form.get('client_id')}:{form.get('client_secret')}"
        if "authorization" in seen.headers:
            pair = base64.b64decode(seen.headers["authorization"].removeprefix("Basic ")).decode()
        if pair not in {f"flow:{CLIENT_SECRET.replace('/', '%2F')}", f"flow:{CLIENT_SECRET}"}:
            return json_reply({"error": "invalid_client", "error_description": "who are you?"}, 401)
        self._given += 1
        token = secret(f"Token{self._given}")
        self.good.add(token)
        return json_reply({"access_token": token, "token_type": "Bearer", "expires_in": self.lasts})
