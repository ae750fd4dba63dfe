"""The trigger in a flow of the command line, killed in the middle of an object."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sources.testing.flows import Flow, eventually
from sources.testing.lab import Lab, numbered
from tests.servers.s3 import S3Server
from tests.sources.killing import kill_behind_a_cursor, saved_cursor

_ROWS = 20_000
_BATCH = 100


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    yield Lab(tmp_path)
    Flow.kill_all()


@pytest.mark.parametrize("form", ["json-lines", "json-lines.gz", "parquet"])
def test_killed_in_the_middle_of_an_object_it_goes_on_at_the_row(s3: S3Server, lab: Lab, form: str) -> None:
    bucket, name = s3.create_bucket(), form.partition(".")[0]
    content = b"\n".join(numbered(range(_ROWS)))
    if form == "parquet":
        file = io.BytesIO()
        pq.write_table(pa.table({"id": list(range(_ROWS))}), file, row_group_size=3000)
        content = file.getvalue()
    elif form.endswith(".gz"):
        content = gzip.compress(content)
    s3.put(bucket, f"large.{form}", content)
    trigger = {"connector": "amazon-s3", "account": s3.account, "bucket": bucket, "format": name}
    flow = lab.command({**trigger, "batch_size": _BATCH, "interval": "100ms"}, sink=lab.sink(sleep="30ms"))

    again = 0
    for share in (0.1, 0.2):
        flow.start()
        lab.wait_for(int(_ROWS * share))
        again += kill_behind_a_cursor(flow, lab, _BATCH)
        assert lab.distinct() < _ROWS
    with flow.running():
        lab.wait_for(_ROWS)
    lab.delivered_at_least_once(range(_ROWS))
    duplicates = lab.counts().total() - _ROWS
    print(f"{_ROWS} rows, 2 kills: {duplicates} duplicates")
    assert duplicates <= again, "only what was in flight comes again"
    with flow.running():
        s3.put(bucket, f"more.{form}", content)
        eventually(lambda: lab.counts().total() == 2 * _ROWS + duplicates, "the next one is read once")
    assert "half" not in json.loads(saved_cursor(lab))["cursor"]
