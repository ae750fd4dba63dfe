"""Formats from end to end."""

from __future__ import annotations

from pathlib import Path

from tests.pipelines.flows import RunningFlow
from tests.servers.sqs import SqsServer


def test_csv_goes_from_a_queue_to_a_file_and_to_standard_output(sqs: SqsServer, tmp_path: Path) -> None:
    queue = sqs.create_queue()
    bodies = ['A-1;"two; parts";12.5\r\n', "A-2;one", "A-3;one;3"]
    for body in bodies:
        sqs.client.send_message(QueueUrl=queue, MessageBody=body)
    path = tmp_path / "out.csv"
    written = {"csv": {"columns": ["id", "cents", "note"]}}
    flow = RunningFlow(
        tmp_path,
        {
            "name": "csv",
            "trigger": {
                "connector": "amazon-sqs",
                "account": sqs.account,
                "queue_url": queue,
                "format": {"csv": {"columns": ["id", "note", "total"], "delimiter": ";"}},
            },
            "steps": [{"map": {"id": "id", "cents": "int(float(total) * 100)", "note": "note"}}],
            "sinks": [
                {"connector": "files", "action": "append", "path": str(path), "format": written},
                {"connector": "stdout", "format": {"csv": {"columns": ["note", "id"], "delimiter": ";"}}},
            ],
        },
        "--limit",
        "3",
    )
    flow.start()
    assert flow.wait() == 0, flow.log.read_text()

    assert sorted(path.read_text().splitlines()) == ["A-1,1250,two; parts", "A-3,300,one"]
    assert sorted(flow.stdout.read_text().splitlines()) == ['"two; parts";A-1', "one;A-3"]
    (letter,) = flow.dead_letters()
    assert letter["error"]["message"] == "payload is not csv: it has 2 fields, not 3 (id, note, total)"
    assert letter["payload"] == {"text": "A-2;one"}
