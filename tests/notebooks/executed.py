"""The notebooks, executed from the top. `python -m tests.notebooks.executed` writes them with what comes out now."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from traitlets.config import Config

__all__ = ["NOTEBOOKS", "executed", "run_cells"]

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

_TIMEOUT = 300
"""Seconds for a cell."""
_TIME = re.compile(r"(?!2024-05-01)\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?Z")
"""A time of now; that of the data is of a day of its own."""
_TERMINAL = re.compile(r"\x1b\[[0-9;]*m|\r")


class _OwnKernel(AsyncKernelManager):
    """A kernel of the interpreter that runs, whatever is registered on the machine."""

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, display_name="Python 3", language="python")


def executed(path: Path) -> Any:
    """A notebook with the outputs of now, apart from times.

    Raises:
        CellExecutionError: a cell raised an error.
    """
    return run_cells(nbformat.read(path, as_version=4))


def run_cells(notebook: Any) -> Any:
    """Execute a notebook from the top."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    with tempfile.TemporaryDirectory() as directory:
        # What a cell calls on the command line is of the same interpreter, and has no colours.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PIPELINES_", "PYTEST_"))},
            "PATH": path,
            "NO_COLOR": "1",
            "COLUMNS": "200",
            "IPYTHONDIR": str(Path(directory) / "ipython"),
        }
        client = NotebookClient(
            notebook,
            timeout=_TIMEOUT,
            kernel_manager_class=_OwnKernel,
            record_timing=False,
            # How many pieces an output came in is a matter of time.
            coalesce_streams=True,
            # Over sockets of files, which nobody else can talk to.
            config=Config({"KernelManager": {"transport": "ipc", "connection_file": f"{directory}/kernel.json"}}),
            resources={"metadata": {"path": directory}},
        )
        client.execute(env=environment)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            _make_stable(output)
    # What else there is says which version of Python it was.
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return nbformat.from_dict(notebook)


def _make_stable(output: Any) -> None:
    if "text" in output:
        output["text"] = _stable(output["text"])
    for kind, data in output.get("data", {}).items():
        if isinstance(data, str):
            output["data"][kind] = _stable(data)
    output.get("metadata", {}).clear()
    output.pop("transient", None)


def _stable(text: str) -> str:
    return _TIME.sub("2026-01-31T12:00:00Z", _TERMINAL.sub("", text))


if __name__ == "__main__":
    for each in NOTEBOOKS:
        nbformat.write(executed(each), each)
