"""What MariaDB and MySQL take in one packet.

To a statement that is larger they answer by closing the connection, which looks like any other loss of it: the row
would be written again for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection

__all__ = ["largest_packet", "size_of"]

_ESCAPED_TEXT = "\0\n\r\x1a\"'\\"
_ESCAPED_BYTES = [character.encode() for character in _ESCAPED_TEXT]


def largest_packet(connection: Connection) -> int | None:
    """Bytes of a statement that the server takes; None where it does not matter."""
    if connection.dialect.name not in ("mariadb", "mysql"):
        return None
    return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())


def size_of(values: Iterable[Any]) -> int:
    """Bytes that texts and bytes have in a statement."""
    return sum(
        len(value.encode(errors="replace")) + sum(map(value.count, _ESCAPED_TEXT))
        if isinstance(value, str)
        else len(value) + sum(map(value.count, _ESCAPED_BYTES))
        for value in values
        if isinstance(value, (str, bytes))
    )
