"""`pipelines test`."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from tests.flowspec.testing.flows import write
from tests.pipelines.commands import pipelines
from tests.servers.sqs import SqsServer

PAID = {"order_id": 1, "status": "paid", "total": 10.5}
RIGHT = {"name": "a paid order", "given": [PAID], "expect": {"sink": [{"id": 1, "cents": 1050}]}}
WRONG = {"name": "another <one>\x01", "given": [PAID], "expect": {"sink": [{"id": 1, "cents": 99}]}}
EXAMPLES = Path(__file__).parents[2] / "examples"


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(main, ["test", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def without_times(text: str) -> str:
    return re.sub(r" \(\d+\.\d\d s\)", "", text)


def test_results_are_told_and_the_exit_code_says_whether_all_are_right(tmp_path: Path) -> None:
    path = write(tmp_path, RIGHT)
    result = run(path)
    assert (result.exit_code, without_times(result.output)) == (0, f"{path}\n  ok      a paid order\n1 test ok\n")
    result = run(write(tmp_path, RIGHT, WRONG))
    assert result.exit_code == 1
    assert (
        without_times(result.output)
        == f"""\
{path}
  ok      a paid order
  FAILED  another <one>\x01 ({tmp_path / "orders.test.json"}:20)
    --- expected
    +++ seen
    @@ -2,7 +2,7 @@
       "sink": [
         {{
           "id": 1,
    -      "cents": 99
    +      "cents": 1050
         }}
       ]
     }}
2 tests, 1 failed
"""
    )


def test_tests_are_chosen_by_their_names(tmp_path: Path) -> None:
    path = write(tmp_path, RIGHT, WRONG)
    assert run(path, "-k", "A PAID").exit_code == 0
    assert run(path, "-k", "another").exit_code == 1
    result = run(path, "-k", "third")
    assert (result.exit_code, "no test has 'third' in its name" in result.output) == (2, True)


def test_update_makes_tests_right(tmp_path: Path) -> None:
    path = write(tmp_path, RIGHT, WRONG, {"name": "new", "given": [{"payload": "{"}]})
    result = run(path, "--update")
    assert (result.exit_code, without_times(result.output).splitlines()[-1]) == (0, "3 tests, 2 updated")
    right, wrong, new = json.loads((tmp_path / "orders.test.json").read_text())
    assert right == RIGHT
    assert wrong == {**WRONG, "expect": {"sink": [{"id": 1, "cents": 1050}]}}
    assert list(new["expect"]) == ["sink", "dead_letters", "filtered"]
    assert run(path).exit_code == 0


def test_update_keeps_what_is_right_as_it_is_written(tmp_path: Path) -> None:
    expect = {
        "in_any_order": True,
        "dead_letters": [{"error": "missing"}, {"step": "decode"}],
        "sink": [{"cents": 5}, {"cents": 1050.0, "id": 1}],
    }
    path = write(tmp_path, {"given": [{"payload": "{"}, {"order_id": 2}, PAID], "expect": expect})
    assert run(path, "--update").exit_code == 0
    (test,) = json.loads((tmp_path / "orders.test.json").read_text())
    assert test["expect"] == {**expect, "sink": [{"cents": 1050.0, "id": 1}]}
    assert run(path).exit_code == 0


def test_junit(tmp_path: Path) -> None:
    file = tmp_path / "reports" / "junit.xml"
    assert run(write(tmp_path, RIGHT, WRONG), "--junit", file).exit_code == 1
    root = ET.parse(file).getroot()
    assert (root.tag, root.get("tests"), root.get("failures"), root.get("errors")) == ("testsuites", "2", "1", "0")
    (suite,) = root
    assert (suite.get("name"), suite.get("failures")) == (str(tmp_path / "orders.json"), "1")
    right, wrong = suite
    assert (right.get("classname"), right.get("name"), len(right)) == ("orders", "a paid order", 0)
    assert (wrong.get("name"), wrong.get("line")) == ("another <one>\N{REPLACEMENT CHARACTER}", "20")
    (failure,) = wrong
    assert '+      "cents": 1050' in (failure.text or "").splitlines()
    assert float(right.get("time") or "") >= 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.json"], "nowhere.json: there is no such file"),
        (["."], ".: no spec in this folder has tests"),
        ([], "SPEC"),
        (["a", "b", "--from-sample", "1"], "adds a test of one SPEC, and runs none"),
        (["a", "--update", "--from-sample", "1"], "adds a test of one SPEC, and runs none"),
        (["a", "--from-sample", "0"], "0 is not in the range"),
        (["a", "--update", "--junit", "b"], "--junit is for tests that are to be right"),
    ],
)
def test_mistakes_end_with_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_mistakes_of_all_specs_are_told_at_once(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, {"given": [1], "expct": {}})
    result = run(tmp_path)
    assert result.exit_code == 2
    assert result.output.count("unknown key 'expct'") == 2
    assert "2 problems found" in result.output


def test_the_real_command_shows_what_functions_print_and_no_backtraces(tmp_path: Path) -> None:
    (tmp_path / "printing.py").write_text("def show(body):\n    print('came:', body)\n    return body\n")
    steps = [{"python": "printing:show"}, {"filter": "nothing", "on_error": "stop"}]
    path = write(tmp_path, {"name": "stops", "given": [PAID], "expect": {"stops": "nothing"}}, steps=steps)
    answer = pipelines(tmp_path, "test", path.name)
    assert (answer.returncode, without_times(answer.stdout)) == (0, "orders.json\n  ok      stops\n1 test ok\n")
    assert set(answer.stderr.splitlines()) == {f"came: {PAID}"}


def test_the_examples_have_tests() -> None:
    result = run(EXAMPLES)
    assert result.exit_code == 0, result.output
    assert result.output.count("  ok  ") >= 5


def rows(folder: Path, count: int) -> Path:
    with closing(sqlite3.connect(folder / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)")
        connection.executemany("INSERT INTO orders (total) VALUES (?)", [(number / 2,) for number in range(count)])
        connection.commit()
    trigger: dict[str, Any] = {
        "connector": "sql",
        "account": {"url": f"sqlite:///{folder / 'shop.db'}"},
        "table": "orders",
        "cursor_column": "id",
        "external_id": "id",
        "lag": 0,
    }
    path = write(folder, trigger=trigger, steps=[{"set": {"at": "now()"}}], sink={"connector": "drop"})
    (folder / "orders.test.json").unlink()
    return path


def test_a_test_is_made_of_rows(tmp_path: Path) -> None:
    path = rows(tmp_path, 5)
    for count in (1, 2):
        result = run(path, "--from-sample", 2, "--state-dir", tmp_path / "state")
        assert result.exit_code == 0, result.output
        assert result.output.startswith(f"{tmp_path / 'orders.test.json'}: added 'sample of 20")
        tests = json.loads((tmp_path / "orders.test.json").read_text())
        assert len(tests) == count
    first = tests[0]
    assert [each["body"] for each in first["given"]] == [{"id": 1, "total": 0.0}, {"id": 2, "total": 0.5}]
    assert first["expect"]["external_ids"] == ["1", "2"]
    assert [each["at"][:19] for each in first["expect"]["sink"]] == [first["clock"][:19]] * 2
    assert run(path).exit_code == 0


def test_a_test_is_made_of_messages_which_stay_in_their_queue(tmp_path: Path, sqs: SqsServer) -> None:
    url = sqs.create_queue()
    for payload in (json.dumps(PAID), "not JSON"):
        sqs.client.send_message(QueueUrl=url, MessageBody=payload)
    account = {"endpoint_url": sqs.endpoint, "access_key_id": "test", "secret_access_key": "test"}
    trigger = {"connector": "amazon-sqs", "queue_url": url, "account": account, "external_id": "order_id"}
    path = write(tmp_path, trigger=trigger, sink={"connector": "drop"})
    result = run(path, "--from-sample", 2)
    assert result.exit_code == 0, result.output
    (test,) = json.loads((tmp_path / "orders.test.json").read_text())
    contents = [each.get("body", each.get("payload")) for each in test["given"]]
    assert sorted(contents, key=str) == sorted(["not JSON", PAID], key=str)
    assert all("message_id" in each["meta"] for each in test["given"])
    assert test["expect"]["sink"] == [{"id": 1, "cents": 1050}]
    assert [letter["step"] for letter in test["expect"]["dead_letters"]] == ["decode"]
    assert sum(sqs.depth(url)) == 2
    assert run(path).exit_code == 0


def test_nothing_is_made_of_nothing(tmp_path: Path) -> None:
    path = rows(tmp_path, 0)
    result = run(path, "--from-sample", 1, "--state-dir", tmp_path / "state")
    assert (result.exit_code, "error: there is no record to make a test of" in result.output) == (2, True)
    assert not (tmp_path / "orders.test.json").exists()
