"""What README and docs show is what happens: their specs are valid, and their commands print what stands below them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from flowspec import loads

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z|(?<= in )\d+\.\d s$", re.MULTILINE)
"""What is another one each time that a command is run."""
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")


def blocks(page: Path, language: str) -> list[tuple[str | None, str]]:
    """The fenced blocks of a language: the file name beside it, and the text."""
    return [(name, text) for kind, name, text in FENCE.findall(page.read_text()) if kind == language]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_print_what_is_shown(page: Path, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    for _, name, text in FENCE.findall(page.read_text()):
        if name:
            (tmp_path / name).write_text(text)
    for _, text in blocks(page, "console"):
        command, _, shown = text.removeprefix("$ ").partition("\n")
        answer = subprocess.run(
            re.sub(r"\bpython ", f"{sys.executable} ", command, count=1),
            shell=True,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "120"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        printed = "".join(f"{line.rstrip()}\n" for line in answer.stdout.splitlines())
        assert TIME.sub("a time", printed) == TIME.sub("a time", shown), f"{command} prints\n{printed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_specs_are_valid(page: Path) -> None:
    for name, text in blocks(page, "json"):
        if name is None and "trigger" in json.loads(text):
            loads(text, page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_reference_is_what_the_models_say() -> None:
    # In a process of its own: other tests register connectors in this one.
    command = [sys.executable, "-m", "pipelines.reference"]
    page = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    assert (ROOT / "docs" / "reference.md").read_text() == page, "python -m pipelines.reference > docs/reference.md"
