"""The content of an answer as it comes in: decompressed, and never larger than it may be."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from flowspec.errors import TransientError

__all__ = ["Content"]

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_PLAIN = frozenset({"", "identity"})
_COMPRESSED = frozenset({"gzip", "x-gzip", "deflate"})


class Content:
    """Collects the bytes of one answer.

    A server may say what it likes about their number: what counts is how many there are, decompressed.
    """

    def __init__(self, headers: Mapping[str, str], at: str, max_size: int, *, cut: bool) -> None:
        """Collect up to `max_size` bytes, of more than that only the beginning if it may be `cut`.

        Raises:
            TransientError: it is known by now that they cannot be had.
        """
        self._at = at
        self._max_size = max_size
        self._cut = cut
        self._parts: list[bytes] = []
        self._size = 0
        self.is_full = False
        """Whether nothing more is needed."""
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in _PLAIN | _COMPRESSED:
            msg = f"{at}: the answer is encoded as {encoding[:40]!r}, which was not asked for"
            raise TransientError(msg)
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding in _COMPRESSED else None
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > max_size and self._inflate is None:
            self._overflow()

    def feed(self, data: bytes) -> None:
        """Add what came.

        Raises:
            TransientError: it is too much, or cannot be decompressed.
        """
        if self._inflate is None:
            self._add(data)
            return
        try:
            while data and not self.is_full:
                if self._inflate.eof:  # another member of the same stream follows
                    self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
                self._add(self._inflate.decompress(data, self._max_size - self._size + 1))
                data = self._inflate.unconsumed_tail or self._inflate.unused_data
        except zlib.error as error:
            msg = f"{self._at}: the answer cannot be decompressed: {error}"
            raise TransientError(msg) from error

    def whole(self) -> bytes:
        """All of it.

        Raises:
            TransientError: the end is missing.
        """
        if self._inflate is not None and not self._inflate.eof and self._parts and not self.is_full:
            msg = f"{self._at}: the answer is not complete"
            raise TransientError(msg)
        return b"".join(self._parts)

    def _add(self, data: bytes) -> None:
        room = self._max_size - self._size
        if len(data) > room:
            self._overflow()
        self._parts.append(data[:room])
        self._size += min(len(data), room)

    def _overflow(self) -> None:
        if not self._cut:
            most = f"max_size, {self._max_size:,} bytes"
            msg = f"{self._at}: the answer has more than {most}; ask for smaller pages, or raise it"
            raise TransientError(msg)
        self.is_full = True
