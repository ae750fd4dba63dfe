"""The command line, called as people call it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.pipelines.flows import ENVIRONMENT, PATIENCE

__all__ = ["pipelines"]


def pipelines(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m pipelines` in a directory until its end."""
    command = [sys.executable, "-m", "pipelines", *arguments]
    return subprocess.run(
        command, cwd=directory, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
