"""Texts of others on a terminal."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    """`text` in one line, and without what would tell a terminal to do something."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)
