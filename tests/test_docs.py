"""What README and docs show is what happens: their specs are valid, and their commands print what stands below them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from flowspec import loads
from sources.testing.flows import eventually
from tests.servers.process import server_port

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CHANGING = re.compile(
    # A time, with more or less of it; the data of the pages is of 2024.
    r"20(?!24)\d\d-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z"
    # How long it took.
    r"|(?<= in )\d+\.\d s(?=$| \()|(?<=\()\d+\.\d\d s(?=\)$)"
    # What is installed.
    r"|(?<=SQLite )\d+\.\d+\.\d+"
    # A hash that is keyed.
    r"|#[0-9a-f]{16}\b",
    re.MULTILINE,
)
"""What is another one each time that a command is run."""
PORT = "9100"
"""Where the pages serve metrics; the tests do so on a free port."""
FETCH = """
import sys, urllib.error, urllib.request
try:
    answer = urllib.request.urlopen(sys.argv[1])
except urllib.error.HTTPError as error:
    answer = error
print(answer.read().decode(), end="")
"""
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
    port = str(server_port())
    with ExitStack() as running:
        for _, text in blocks(page, "console"):
            command, _, shown = text.replace(PORT, port).removeprefix("$ ").partition("\n")
            if command.endswith(" &"):
                running.enter_context(_in_background(command.removesuffix(" &"), tmp_path))
            elif command.startswith("curl "):
                # What runs in the background comes to it one day.
                what = f"{command} prints\n{shown}"
                eventually(lambda: _printed(command, tmp_path) == _steady(shown), what, checked=False)  # noqa: B023
            else:
                printed = _printed(command, tmp_path)
                assert printed == _steady(shown), f"{command} prints\n{printed}"


def _printed(command: str, folder: Path) -> str:
    answer = subprocess.run(
        _with_python(command),
        shell=True,
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return _steady("".join(f"{line.rstrip()}\n" for line in answer.stdout.splitlines()))


@contextmanager
def _in_background(command: str, folder: Path) -> Iterator[None]:
    with (folder / "background.log").open("wb") as log:
        process = subprocess.Popen(
            f"exec {_with_python(command)}", shell=True, cwd=folder, env=_environment(), stdout=log, stderr=log
        )
    try:
        yield
        assert process.poll() is None, f"{command} has ended: {(folder / 'background.log').read_text()}"
    finally:
        process.terminate()
        process.wait()


def _with_python(command: str) -> str:
    # Not every machine has curl.
    command = re.sub(r"^curl -s ", lambda _: f"python -c {shlex.quote(FETCH)} ", command)
    return re.sub(r"\bpython ", f"{sys.executable} ", command, count=1)


def _environment() -> dict[str, str]:
    return {**os.environ, "COLUMNS": "120"}


def _steady(text: str) -> str:
    return CHANGING.sub("a time", text)


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


def test_the_flow_of_the_readme_is_built_in_python_too() -> None:
    (block,) = re.findall(r"```py\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    built, _, calls = block.partition("flow.preview")
    names: dict[str, Any] = {}
    exec(built, names)
    assert names["flow"].to_spec()["steps"][0] == {"filter": "status == 'paid' and total > 100"}
    assert all(hasattr(names["flow"], name) for name in re.findall(r"flow\.(\w+)\(", f"flow.preview{calls}"))
