"""The spec model: what a spec may say, and what it may not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sources.files import NewFiles


def test_a_path_is_enough() -> None:
    trigger = NewFiles(path="inbox")

    assert (trigger.format, trigger.after, trigger.settle_time) == ("json-lines", "keep", 1.0)
    assert trigger.cursor_basis() == {"path": "inbox", "grow": False}


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"path": ""}, "at least 1 character"),
        ({"after": "move"}, "`after: move` and `move_to` need each other"),
        ({"move_to": "done"}, "`after: move` and `move_to` need each other"),
        ({"after": "move", "move_to": "./inbox/"}, "where they come from"),
        ({"grow": True, "after": "delete"}, "never read to their end"),
        ({"grow": True, "format": "parquet"}, "format 'parquet' cannot be read while a file grows"),
        ({"grow": True, "format": {"json": {"items": True}}}, "format 'json' cannot be read"),
        ({"grow": True, "compression": "gzip"}, "compressed files cannot be read while they grow"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2024-05-01T00:00:00"}, "timezone"),
        ({"format": "jsonl"}, "format"),
        ({"max_row": 0}, "greater than 0"),
    ],
)
def test_mistakes(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        NewFiles(**{"path": "inbox", **fields})


def test_a_log_whose_format_changes_needs_another_cursor() -> None:
    texts = NewFiles(path="log", grow=True, format="text").cursor_basis()
    assert texts != NewFiles(path="log", grow=True, format="csv").cursor_basis()
    assert texts == NewFiles(path="log", grow=True, format={"text": {"encoding": "latin-1"}}).cursor_basis()


def test_a_spec_is_read_without_pyarrow_and_parquet_says_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"")
    program = f"""
import sys
from flowspec.errors import FatalError
from sources.files import NewFiles
trigger = NewFiles(path={str(tmp_path)!r}, format="parquet", settle_time=0)
assert "pyarrow" not in sys.modules
sys.modules["pyarrow"] = None
try:
    trigger.poller("beginning", None).poll(None, 1)
except FatalError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "pip install 'trigger-flows[parquet]'" in done.stdout
