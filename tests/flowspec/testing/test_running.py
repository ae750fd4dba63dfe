"""What a test sees of a flow."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.flowspec.testing.flows import outcomes, said, write

PAID = {"order_id": 1, "status": "paid", "total": 10.5}
OPEN = {"order_id": 2, "status": "open", "total": 1}
BROKEN = {"payload": "not JSON"}
LACKING = {"order_id": "3", "status": "paid"}
EVERYTHING = {
    "sink": [{"id": 1, "cents": 1050}],
    "dead_letters": [
        {"step": "decode", "error": "payload is not json"},
        {"step": "map-2", "error": "'total'", "external_id": "3"},
    ],
    "external_ids": ["1", "2", "3"],
    "filtered": 1,
}


def seen(folder: Path, given: list[Any], expect: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """What is seen of that which is expected; by default all."""
    test = {"given": given} if expect is None else {"given": given, "expect": expect}
    (result,) = outcomes(write(folder, test, **changes))
    return result.seen


def differences(folder: Path, expect: dict[str, Any], *, given: list[Any] | None = None, **changes: Any) -> list[str]:
    (result,) = outcomes(write(folder, {"given": given or [PAID, OPEN, BROKEN, LACKING], "expect": expect}, **changes))
    return [line for line in result.difference[2:] if line[0] in "+-"]


def test_what_a_flow_makes_of_records_without_its_systems_accounts_and_variables(tmp_path: Path) -> None:
    assert differences(tmp_path, EVERYTHING) == []
    found = seen(tmp_path, [PAID, OPEN, BROKEN, LACKING])
    first, second = found["dead_letters"]
    assert first.pop("error").startswith("payload is not json: ")
    assert (first, second) == ({"step": "decode"}, {"step": "map-2", "error": "cents: missing field 'total'"})
    assert {**found, "dead_letters": EVERYTHING["dead_letters"]} == EVERYTHING


@pytest.mark.parametrize(
    ("wrong", "lines"),
    [
        ({"sink": []}, ["+  "]),
        ({"sink": [{"id": 1, "cents": 1051}]}, ['-      "cents": 1051', '+      "cents": 1050']),
        ({"sink": [{"id": 1, "cents": True}]}, ['-      "cents": true', '+      "cents": 1050']),
        ({"dead_letters": [{"step": "decode"}]}, ["+  "]),
        ({"dead_letters": [{"step": "decode"}, {"step": "filter-1"}]}, ['-      "step": "filter-1"']),
        ({"dead_letters": [{"error": "not JSON"}, {}]}, ['-      "error": "not JSON"']),
        ({"dead_letters": [{"external_id": "4"}, {}]}, ['-      "external_id": "4"', '+      "external_id": null']),
        ({"external_ids": ["1", "3", "2"]}, ["-", "+"]),
        ({"filtered": 2}, ['-  "filtered": 2', '+  "filtered": 1']),
        ({"stops": "anything"}, ["-"]),
    ],
)
def test_what_is_not_as_expected_is_told(tmp_path: Path, wrong: dict[str, Any], lines: list[str]) -> None:
    found = differences(tmp_path, {**EVERYTHING, **wrong})
    assert found, "nothing was told"
    for line in lines:
        assert any(each.startswith(line) for each in found), found


def test_what_is_not_expected_is_not_compared_but_dead_letters_are_told(tmp_path: Path) -> None:
    (result,) = outcomes(write(tmp_path, {"given": [LACKING], "expect": {"sink": [{}]}}))
    assert result.failed
    assert result.notes == ["dead letter: map-2: cents: missing field 'total'"]
    assert differences(tmp_path, {"filtered": 1}) == []


def test_a_test_that_expects_nothing_fails(tmp_path: Path) -> None:
    (result,) = outcomes(write(tmp_path, {"given": [OPEN]}))
    assert result.failed
    assert result.seen == {"sink": [], "external_ids": ["2"], "filtered": 1}


def test_any_order(tmp_path: Path) -> None:
    given = [{**PAID, "order_id": number} for number in (1, 2, 3)]
    expect: dict[str, Any] = {
        "sink": [{"cents": 1050.0, "id": number} for number in (3, 1, 2)],
        "external_ids": ["2", "3", "1"],
    }
    assert differences(tmp_path, {**expect, "in_any_order": True}, given=given) == []
    assert differences(tmp_path, expect, given=given) != []
    expect["sink"][1]["id"] = 7
    assert differences(tmp_path, {**expect, "in_any_order": True}, given=given) == [
        '-      "id": 7',
        '+      "id": 1',
    ]


def test_sinks_are_compared_by_their_ids(tmp_path: Path) -> None:
    sinks = [{"connector": "stdout", "id": "shown"}, {"connector": "drop"}]
    both = {"shown": [{"id": 1, "cents": 1050}], "drop-drop": [{"id": 1, "cents": 1050}]}
    assert seen(tmp_path, [PAID], sink=None, sinks=sinks)["sinks"] == both
    assert differences(tmp_path, {"sinks": {"shown": both["shown"]}}, given=[PAID], sink=None, sinks=sinks) == []


def test_the_clock_stands_still_where_it_is_given(tmp_path: Path) -> None:
    steps = [{"map": {"at": "now()", "late": "now() - datetime(due) > hours(1)"}}]
    given = [{"order_id": 1, "due": "2026-01-31T08:30:00Z"}]
    expected = [{"at": "2026-01-31T10:00:00+00:00", "late": True}]
    path = write(
        tmp_path,
        {"given": given, "clock": "2026-01-31T12:00:00+02:00", "expect": {"sink": expected}},
        {"given": given, "clock": "2026-01-31T10:00:00", "expect": {"sink": expected}},
        {"given": given, "expect": {"sink": expected}},
        steps=steps,
    )
    assert [result.failed for result in outcomes(path)] == [False, False, True]


def test_the_environment_of_a_test_is_that_of_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGION", "us")
    path = write(
        tmp_path,
        {"given": [{"order_id": 1}], "environment": {"REGION": "eu"}, "expect": {"sink": [{"region": "eu"}]}},
        {"given": [{"order_id": 1}], "expect": {"sink": [{"region": "us"}]}},
        steps=[{"map": {"region": "'${REGION}'"}}],
    )
    assert [result.difference for result in outcomes(path)] == [[], []]


def test_what_a_record_has_beside_its_body(tmp_path: Path) -> None:
    record = {"body": {"order_id": 7}, "key": "k", "headers": {"source": "web"}, "meta": {"receive_count": 2}}
    steps = [{"map": {"all": "[key, headers.source, meta.receive_count, external_id]"}}]
    assert seen(tmp_path, [record], steps=steps)["sink"] == [{"all": ["k", "web", 2, "7"]}]


def test_a_body_may_be_anything(tmp_path: Path) -> None:
    trigger = {"connector": "amazon-sqs", "queue_url": "http://127.0.0.1:1/1/q"}
    bodies = [None, 1, "text", [1, 2], {"body": {"payload": 1}}, {}]
    assert seen(tmp_path, bodies, trigger=trigger, steps=[])["sink"] == [*bodies[:4], {"payload": 1}, {}]


def test_payloads_are_decoded_by_the_format_of_the_trigger(tmp_path: Path) -> None:
    trigger = {
        "connector": "rabbitmq",
        "queue": "orders",
        "format": {"csv": {"columns": ["a", "b"], "delimiter": ";"}},
    }
    latin = base64.b64encode("é;2".encode("latin-1")).decode()
    given = [{"payload": "1;2"}, {"payload": {"base64": latin}}]
    found = seen(tmp_path, given, trigger=trigger, steps=[])
    assert found["sink"] == [{"a": "1", "b": "2"}]
    assert [letter["step"] for letter in found["dead_letters"]] == ["decode"]


def test_a_format_that_needs_a_registry_gets_bodies(tmp_path: Path) -> None:
    trigger = {"connector": "kafka", "topics": ["orders"], "format": {"avro": {}}, "account": "kafka"}
    assert seen(tmp_path, [{"id": 1}], trigger=trigger, steps=[])["sink"] == [{"id": 1}]


def test_a_polling_trigger_gets_bodies(tmp_path: Path) -> None:
    trigger = {"connector": "sql", "table": "${TABLE}", "cursor_column": "id", "account": "db", "external_id": "id"}
    found = seen(tmp_path, [{"id": 1}, {"id": 2}], trigger=trigger, steps=[{"filter": "id > 1"}])
    assert found == {"sink": [{"id": 2}], "external_ids": ["1", "2"], "filtered": 1}


def test_more_records_than_a_batch_come_in_order(tmp_path: Path) -> None:
    trigger = {"connector": "rabbitmq", "queue": "q", "batch_size": 3}
    assert seen(tmp_path, list(range(20)), trigger=trigger, steps=[])["sink"] == list(range(20))


def test_what_json_does_not_have_is_as_a_sink_of_json_writes_it(tmp_path: Path) -> None:
    steps = [{"map": {"money": "decimal('1.50')", "day": "date('2026-01-31')", "set": "set([2, 1])"}}]
    assert seen(tmp_path, [PAID], steps=steps)["sink"] == [{"money": "1.50", "day": "2026-01-31", "set": [1, 2]}]


def test_no_retry_is_waited_for(tmp_path: Path) -> None:
    retry = {"retry": {"attempts": 5, "backoff": "1h", "then": "skip"}}
    steps = [{"filter": "total > 1", "on_error": retry}, {"filter": "cents > 1"}]
    flow_retry = {"retry": {"attempts": 5, "backoff": "1h"}}
    found = seen(tmp_path, [LACKING, PAID], steps=steps, on_error=flow_retry)
    assert found["dead_letters"] == [{"step": "filter-2", "error": "missing field 'cents'"}]
    assert found["sink"] == []


def test_dead_letters_do_not_go_to_the_sink_of_the_spec(tmp_path: Path) -> None:
    sink = {"connector": "files", "path": str(tmp_path / "dead.jsonl")}
    assert differences(tmp_path, EVERYTHING, dead_letters=sink) == []
    assert sorted(each.name for each in tmp_path.iterdir()) == ["orders.json", "orders.test.json"]


def test_a_flow_that_stops(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    steps = [{"id": "check", "filter": "total > 1", "on_error": "stop"}]
    assert differences(tmp_path, {"stops": "field 'total'"}, given=[LACKING], steps=steps) == []
    assert differences(tmp_path, {"stops": "field 'status'"}, given=[LACKING], steps=steps) != []
    # It is never right unless it is expected.
    assert differences(tmp_path, {"sink": []}, given=[LACKING], steps=steps)[-1] == (
        '+  "stops": "check: missing field \'total\'"'
    )
    # Rust's backtraces are noise.
    assert capfd.readouterr() == ("", "")


def test_functions_are_found_beside_the_spec(tmp_path: Path) -> None:
    (tmp_path / "functions_of_this_test.py").write_text("def clean(body):\n    return {'a': body['order_id']}\n")
    assert seen(tmp_path, [PAID], steps=[{"python": "functions_of_this_test:clean"}])["sink"] == [{"a": 1}]


def test_a_section_of_the_spec_and_the_file_beside_it_both_count(tmp_path: Path) -> None:
    path = write(tmp_path, {"name": "beside", "given": [OPEN], "expect": {"sink": []}})
    spec = json.loads(path.read_text())
    # A text that would be a variable elsewhere in the spec is data here.
    inside = {"name": "inside", "given": [{**PAID, "order_id": "${ID}"}], "expect": {"external_ids": ["${ID}"]}}
    path.write_text(json.dumps({**spec, "tests": [inside]}))
    found = outcomes(path)
    assert [(result.case.test.name, result.difference) for result in found] == [("inside", []), ("beside", [])]
    assert [result.case.document.source for result in found] == [str(path), str(tmp_path / "orders.test.json")]


ROUTE = {
    "route": {
        "cases": [
            {
                "id": "paid",
                "when": "status == 'paid'",
                "steps": [
                    {"map": {"id": "order_id", "cents": "round(total * 100)"}},
                    {"enrich": {"connector": "http", "account": "gone", "url": "/orders/{id}", "into": "shop"}},
                ],
                "sink": {"connector": "rabbitmq", "account": "gone", "routing_key": "${NO_SUCH_VARIABLE}"},
            },
            {"when": "status == 'open'"},
        ],
        "otherwise": {"sink": {"id": "others", "connector": "files", "path": "${NO_SUCH_VARIABLE}"}},
    }
}
BRANCHED = {"steps": [ROUTE], "sink": None}
OTHER = {"order_id": 4, "status": "lost"}


def test_the_sinks_and_steps_of_branches_are_tested_by_their_ids(tmp_path: Path) -> None:
    test = {
        "given": [PAID, OPEN, OTHER, {"order_id": 5, "status": "paid", "total": 1}, {"order_id": 6}],
        "answers": {"route-1-paid-enrich-2": {"/orders/1": {"name": "ours"}}},
        "expect": {
            "sinks": {
                "route-1-paid-rabbitmq-publish": [{"id": 1, "cents": 1050, "shop": {"name": "ours"}}],
                "others": [OTHER],
            },
            "dead_letters": [
                {"step": "route-1", "error": "when of paid: missing field 'status'"},
                {"step": "route-1-paid-enrich-2"},
            ],
            "filtered": 1,
            "in_any_order": True,
        },
    }
    (result,) = outcomes(write(tmp_path, test, **BRANCHED))
    assert result.difference == []
    wrong = {**test, "expect": {"sinks": {"others": []}}}
    (result,) = outcomes(write(tmp_path, wrong, **BRANCHED))
    assert '+        "order_id": 4,' in result.difference


def test_what_a_test_says_of_branches_goes_with_the_flow(tmp_path: Path) -> None:
    expect = {"sinks": {"othres": []}, "dead_letters": [{"step": "route-1-paid-map-2"}]}
    answers: dict[str, Any] = {"enrich-2": {}}
    found = said(write(tmp_path, {"given": [PAID], "expect": expect, "answers": answers}, **BRANCHED))
    assert len(found) == 3
    assert "route-1-paid-enrich-2" in next(line for line in found if ".answers." in line)
    for message in (
        "the flow has no sink 'othres'; did you mean 'others'?",
        "the flow has no step 'route-1-paid-map-2'; did you mean 'route-1-paid-map-1'?",
    ):
        assert any(line.endswith(message) for line in found)
