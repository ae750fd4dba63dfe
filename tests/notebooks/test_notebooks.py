"""Every notebook runs from the top, and has the outputs that it has in the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.notebooks.executed import NOTEBOOKS, executed

REFRESH = "python -m tests.notebooks.executed writes what comes out now"


def _order(output: Any) -> str:
    return json.dumps(output, sort_keys=True)


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_gives_the_outputs_that_it_has(path: Path) -> None:
    kept = nbformat.read(path, as_version=4)
    for before, after in zip(kept.cells, executed(path).cells, strict=True):
        # Which of two streams comes first is a matter of time.
        now, then = (sorted(cell.get("outputs", []), key=_order) for cell in (after, before))
        assert now == then, f"{path.name}: {before.source}\n{REFRESH}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_of_no_machine(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for trace in ("/tmp", "/home", "/root", "127.0.0.1:", "Traceback"):
        assert trace not in text
