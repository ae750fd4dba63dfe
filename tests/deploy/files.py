"""The files that are tested, and what several tests do with them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipelines.commands.run import command
from pipelines.monitor.pages import Pages
from pipelines.snapshot import Snapshot
from tests.pipelines.flows import ENVIRONMENT

__all__ = ["ROOT", "documents", "is_served", "run_options", "validate"]

ROOT = Path(__file__).parents[2]


def documents(path: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    return list(YAML(typ="safe").load_all(path))


def run_options(arguments: Sequence[str]) -> dict[str, Any]:
    """What the command line makes of the arguments of a container; fails as it does where it does not know them."""
    assert arguments[0] == "run"
    return command.make_context("run", list(arguments[1:])).params


def is_served(path: str) -> bool:
    """Whether a run with `--http` has a page at a path."""
    return Pages(lambda: Snapshot("any")).at(path).status != HTTPStatus.NOT_FOUND


def validate(spec: Path, environment: Mapping[str, str], *options: str) -> str:
    """What `python -m pipelines validate` says in a container with these variables."""
    answer = subprocess.run(
        [sys.executable, "-m", "pipelines", "validate", str(spec), *options],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return answer.stdout
