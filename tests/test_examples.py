"""Every example is run: on orders as the demonstration sends them, until the queue is empty."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.demo.orders import order
from tests.servers.sqs import SqsServer

EXAMPLES = sorted(path for path in (Path(__file__).parents[1] / "examples").iterdir() if path.suffix != ".toml")
ORDERS = 200


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_runs(sqs: SqsServer, tmp_path: Path, example: Path) -> None:
    url = sqs.create_queue()
    chance = random.Random(1)
    for number in range(ORDERS):
        sqs.client.send_message(QueueUrl=url, MessageBody=order(number, chance).decode())
    settings = {"SQS_ENDPOINT": sqs.endpoint, "ORDERS_QUEUE_URL": url}

    run = subprocess.run(
        [sys.executable, "-m", "pipelines", "run", str(example), "--until-idle", "2", "--status", "json"],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    last = json.loads(run.stderr.splitlines()[-1])
    assert last["received"] == ORDERS
    assert last["delivered"] > ORDERS / 5
    assert 0 < last["failed"] < ORDERS / 5, "some of the orders are broken on purpose"
    assert sqs.depth(url) == (0, 0)
