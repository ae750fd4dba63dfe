"""The tables of functions and methods in the language guide."""

from __future__ import annotations

from collections.abc import Mapping

from flowspec.expressions.entries import Entry
from flowspec.expressions.functions import FUNCTIONS
from flowspec.expressions.methods import METHODS

__all__ = ["BEGIN", "END", "tables"]

BEGIN = "<!-- functions and methods: begin -->"
END = "<!-- functions and methods: end -->"


def tables() -> str:
    """Both tables in Markdown; they stand in `docs/expressions.md` between `BEGIN` and `END`."""
    functions = _table("| function | what it gives | example | result |", FUNCTIONS, "")
    methods = _table("| method | of | what it gives | example | result |", METHODS, ".")
    return f"### Functions\n\n{functions}\n\n### Methods\n\n{methods}"


def _table(head: str, entries: Mapping[str, Entry], dot: str) -> str:
    lines = [head, "| --- " * (head.count("|") - 1) + "|"]
    for name, entry in sorted(entries.items()):
        cells = [f"`{dot}{name}({entry.signature})`", entry.doc, f"`{entry.example}`", f"`{entry.result!r}`"]
        if dot:
            cells.insert(1, entry.on)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
