"""A request and its answer, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sources.http.addresses import shown

__all__ = ["Answer", "Call"]


@dataclass(frozen=True)
class Call:
    """A request, without its credentials."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    """By names in lower case; values may have any character that is no line end."""
    content: bytes | None = None

    @property
    def at(self) -> str:
        """How errors name it, without secrets."""
        return f"{self.method} {shown(self.url)}"


@dataclass(frozen=True)
class Answer:
    """What a server answered in the end."""

    status: int
    headers: Mapping[str, str]
    """Names may be written in any case."""
    body: bytes
    """Decompressed."""
    url: str
    """Where it came from, after redirects."""

    @property
    def is_success(self) -> bool:
        """Whether it says that all went well."""
        return 200 <= self.status < 300  # noqa: PLR2004 - what every API's documentation says
