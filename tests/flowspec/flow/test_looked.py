from __future__ import annotations

from pathlib import Path

import pytest

from flowspec import Flow, FlowError
from tests.flowspec.flow.orders import flow_of, write_orders


def test_each_step_is_shown_with_what_it_dropped_and_failed_on(tmp_path: Path) -> None:
    write_orders(tmp_path)
    seen = flow_of(tmp_path).preview(20)
    assert [str(step) for step in seen.steps] == [
        "trigger: 4 passed",
        "paid: 2 passed, 1 dropped, 1 failed",
        "cents: 1 passed, 1 failed",
    ]
    assert [(look.number, look.outcome) for look in seen.steps[1].records] == [
        (1, "passed"),
        (2, "dropped"),
        (3, "failed"),
        (4, "passed"),
    ]
    assert seen.steps[1].records[2].reason == "missing field 'status'"
    assert seen.rows == [{"id": 1, "cents": 250}]
    lines = repr(seen).splitlines()
    assert '    2  dropped  {"id": 2, "status": "open", "total": 1}' in lines
    assert """    3  failed: missing field 'status'  {"id": 3, "total": 3}""" in lines


def test_nothing_is_consumed_or_written(tmp_path: Path) -> None:
    write_orders(tmp_path)
    flow = flow_of(tmp_path)
    assert repr(flow.preview(20, state_dir=tmp_path / "state")) == repr(flow.preview(20, state_dir=tmp_path / "state"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["orders.jsonl"]


def test_html_has_what_records_say_as_text(tmp_path: Path) -> None:
    write_orders(tmp_path)
    shown = flow_of(tmp_path).preview(20)._repr_html_()
    assert "&lt;b&gt;&#36;x&#36;&lt;/b&gt;" in shown
    assert "<b>" not in shown
    assert shown.count("<table>") == 3


def test_what_is_broken_is_shown_at_the_trigger(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text('{"id": 1, "status": "paid", "total": 1}\n{broken\n')
    trigger, *_ = flow_of(tmp_path).preview(20).steps
    assert [(look.outcome, look.body) for look in trigger.records][1] == ("failed", "{broken")
    assert "not json-lines" in trigger.records[1].reason


def test_records_of_one_record_have_its_number_and_others_are_rows_too(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text('{"items": ["a", "b"]}\n{"items": []}\n')
    flow = Flow("items").trigger("files", path=str(tmp_path), settle_time=0).split("items").sink("drop")
    seen = flow.preview(20)
    assert [(look.number, look.outcome) for look in seen.steps[1].records] == [
        (1, "passed"),
        (1, "passed"),
        (2, "dropped"),
    ]
    assert seen.rows == [{"body": "a"}, {"body": "b"}]


def test_one_can_look_as_far_as_a_step(tmp_path: Path) -> None:
    write_orders(tmp_path)
    flow = flow_of(tmp_path)
    assert [step.id for step in flow.preview(20, through="paid").steps] == ["trigger", "paid"]
    with pytest.raises(FlowError, match="no step 'pid'; did you mean 'paid'"):
        flow.preview(20, through="pid")


def test_no_records_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").touch()
    seen = flow_of(tmp_path).preview(20, wait=0)
    assert seen.rows == []
    assert "<table>" not in seen._repr_html_()
    assert repr(seen).splitlines()[0] == "trigger: 0 passed"


def test_it_is_shown_which_branch_a_record_takes(tmp_path: Path) -> None:
    write_orders(tmp_path)
    sink = {"connector": "stdout"}
    cases = [{"id": "first", "when": "id == 1", "steps": [{"select": ["id"]}], "sink": sink}, {"when": "id == 2"}]
    seen = flow_of(tmp_path).route({"cases": cases}, id="by-id").map({"last": "id"}).preview(20)
    assert [str(step) for step in seen.steps[3:]] == [
        "by-id: 1 passed",
        "by-id-first-select-1: 1 passed",
        "map-4: 0 passed",
    ]
    assert "    1  passed to by-id-first  " in repr(seen)
    assert "passed to by-id-first" in seen._repr_html_()
    assert seen.rows == [{"id": 1}]
    dropped = (
        Flow("orders").trigger("files", path=str(tmp_path / "orders*.jsonl"), settle_time=0).route({"cases": cases})
    )
    assert "    2  dropped to case-2  " not in repr(dropped.sink("stdout").preview(20))
    assert "    2  dropped to route-1-case-2  " in repr(dropped.sink("stdout").preview(20))


def test_a_flow_ends_where_a_route_has_a_branch_for_every_record(tmp_path: Path) -> None:
    sink = {"connector": "stdout"}
    content = {"cases": [{"when": "id == 1", "python": "x"}], "otherwise": {"sink": sink}}
    flow = Flow("orders").trigger("files", path=str(tmp_path / "orders*.jsonl"))
    with pytest.raises(FlowError, match=r"steps\[0\].route.cases\[0\].python: unknown key 'python'"):
        flow.route(content)
    steps = [{"python": lambda body: {**body, "first": True}}]
    routed = flow.route({"cases": [{"when": "id == 1", "steps": steps, "sink": sink}], "otherwise": {"sink": sink}})
    outcome = routed.test([{"id": 1}, {"id": 2}], {"sinks": {"route-1-otherwise-stdout-print": [{"id": 2}]}})
    assert outcome.sinks["route-1-case-1-stdout-print"] == [{"id": 1, "first": True}]
    assert "id == 1:" in repr(routed)
    with pytest.raises(FlowError, match="sinks: no record comes here: 'route' before it has 'otherwise'"):
        routed.sink("stdout")
    with pytest.raises(FlowError, match="has no name by which it can be imported"):
        routed.to_spec()
