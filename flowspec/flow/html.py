"""Tables for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["heading", "table"]

_CELL = "text-align:left;vertical-align:top;padding:2px 8px"


def heading(text: str) -> str:
    """A line above a table."""
    return f'<div style="font-weight:bold;margin-top:8px">{_escaped(text)}</div>'


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts, which are escaped; its colours are those of the page."""
    head = "".join(f'<th style="{_CELL}">{_escaped(column)}</th>' for column in columns)
    lines = ["".join(f'<td style="{_CELL}">{_escaped(cell)}</td>' for cell in row) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def _escaped(text: str) -> str:
    # A notebook sets in mathematical type what is between dollars.
    return escape(text).replace("$", "&#36;")
