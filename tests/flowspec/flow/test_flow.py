from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from flowspec import Flow, FlowError, SpecError, load, registry
from tests.flowspec.flow.orders import flow_of, shout, write_orders


def test_a_flow_is_what_a_spec_with_the_same_in_it_is(tmp_path: Path) -> None:
    flow = flow_of(tmp_path).python(shout)
    flow.save(tmp_path / "orders.json")
    assert load(tmp_path / "orders.json") == flow.spec
    written = json.loads((tmp_path / "orders.json").read_text())
    assert written == flow.to_spec()
    assert written["steps"][0] == {"filter": "status == 'paid'", "id": "paid"}
    assert written["steps"][2] == {"python": "tests.flowspec.flow.orders:shout"}


def test_a_call_leaves_the_flow_as_it_was(tmp_path: Path) -> None:
    flow = flow_of(tmp_path)
    longer = flow.drop(["cents"])
    assert len(flow.spec.steps) == 2
    assert len(longer.spec.steps) == 3


def test_a_trigger_takes_the_place_of_the_one_before_and_a_sink_is_added(tmp_path: Path) -> None:
    spec = flow_of(tmp_path).trigger("schedule", interval=1).sink("drop").spec
    assert spec.trigger.connector == "schedule"
    assert [name for name, _ in spec.named_sinks()] == ["files-append", "drop-drop"]


def test_a_loaded_flow_can_be_gone_on_with(tmp_path: Path) -> None:
    flow_of(tmp_path).save(tmp_path / "orders.json")
    flow = Flow.load(tmp_path / "orders.json").filter("cents > 100", id="large")
    assert [name for name, _ in flow.spec.named_steps()] == ["paid", "cents", "large"]
    with pytest.raises(SpecError, match="the id 'paid' is used twice"):
        flow.filter("cents > 100", id="paid")


def test_accounts_beside_a_loaded_spec_are_there_for_what_is_added(tmp_path: Path) -> None:
    (tmp_path / "accounts.toml").write_text('[shop]\nurl = "sqlite:///shop.sqlite"\n')
    (tmp_path / "accounts.toml").chmod(0o600)
    flow_of(tmp_path).save(tmp_path / "orders.json")
    flow = Flow.load(tmp_path / "orders.json").trigger("sql", account="shop", table="orders", cursor_column="id")
    assert flow.to_spec()["trigger"]["account"] == "shop"
    with pytest.raises(SpecError, match=r"no account 'shp' .*did you mean 'shop'"):
        flow.trigger("sql", account="shp", table="orders", cursor_column="id")


@pytest.mark.parametrize(
    ("mistaken", "said"),
    [
        (lambda: Flow("two words"), "flow: name: does not match"),
        (lambda: Flow("a", on_eror="skip"), "flow: unknown key 'on_eror'; did you mean 'on_error'?|flow: on_eror: "),
        (lambda: Flow("a").trigger("flies"), r"trigger.connector: unknown connector 'flies'; did you mean 'files'"),
        (lambda: Flow("a").trigger("files", "new-flies", path="x"), r"trigger.event: .*did you mean 'new-files'"),
        (lambda: Flow("a").trigger("files", path="x", pth="x"), r"trigger.pth: unknown key 'pth'; did you mean 'path'"),
        (lambda: Flow("a").filter("totl.uper()"), r"steps\[0\].filter: unknown method 'uper'.*did you mean 'upper'"),
        (lambda: Flow("a").filter("x", idd="y"), r"steps\[0\].idd: unknown key 'idd'; did you mean 'id'"),
        (lambda: Flow("a").python("no.such:one"), r"steps\[0\].python: there is no module 'no'"),
        (lambda: Flow("a").sink("files", "apend", path="x"), r"did you mean 'append'"),
        (lambda: Flow("a").trigger("files", path="${NOT_SET_AT_ALL}"), "variable NOT_SET_AT_ALL is not set"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_by_the_call_that_makes_it(mistaken: Callable[[], Flow], said: str) -> None:
    with pytest.raises(SpecError, match=said) as raised:
        mistaken()
    assert len(raised.value.problems) == 1


def test_an_unknown_step_is_told_with_the_nearest_one() -> None:
    with pytest.raises(AttributeError, match=r"no step 'fliter'; did you mean 'filter'"):
        Flow("a").fliter("x")
    assert not hasattr(Flow("a"), "_repr_png_")


def test_all_kinds_of_steps_are_completed_and_explained() -> None:
    assert {*registry.steps(), "trigger", "sink", "preview"} <= set(dir(Flow("a")))
    assert "Keep the records" in (Flow("a").filter.__doc__ or "")


def test_a_flow_that_lacks_something_says_so_when_it_is_used() -> None:
    with pytest.raises(SpecError, match="'trigger' is missing") as raised:
        Flow("a").run()
    assert len(raised.value.problems) == 2
    assert repr(Flow("a").filter("x")) == "a: no trigger, 1 steps, 0 sinks"
    assert Flow("a")._repr_svg_() is None


def test_functions_without_a_name_run_but_are_not_saved(tmp_path: Path) -> None:
    write_orders(tmp_path)
    flow = flow_of(tmp_path).python(lambda body: {**body, "loud": True})
    assert flow.preview(10).rows == [{"id": 1, "cents": 250, "loud": True}]
    assert "python" in flow.graph().as_text()
    with pytest.raises(FlowError, match=r"cannot be written as a spec: .*define it in a module"):
        flow.save(tmp_path / "orders.json")
    assert not (tmp_path / "orders.json").exists()


def test_secrets_are_neither_shown_nor_saved(tmp_path: Path) -> None:
    account = {"endpoint_url": "http://127.0.0.1:1", "access_key_id": "me", "secret_access_key": "s3cr3t-s3cr3t"}
    flow = Flow("a").trigger("amazon-sqs", account=account, queue_url="http://127.0.0.1:1/1/q").sink("drop")
    assert "s3cr3t" not in repr(flow) + flow.graph().as_svg() + json.dumps(flow.to_spec())
    with pytest.raises(FlowError, match=r"trigger.account.secret_access_key.* is secret.*accounts.toml"):
        flow.save(tmp_path / "orders.json")


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match="cannot be written: No such file"):
        flow_of(tmp_path).save(tmp_path / "none" / "orders.json")


def test_records_are_tried_without_any_system(tmp_path: Path) -> None:
    flow = flow_of(tmp_path)
    given = [{"id": 1, "status": "paid", "total": 2}, {"id": 2, "status": "paid"}]
    outcome = flow.test(given)
    assert outcome.sinks == {"files-append": [{"id": 1, "cents": 200}]}
    assert [letter.step for letter in outcome.dead_letters] == ["cents"]
    flow.test(given, expect={"sink": [{"id": 1, "cents": 200}], "dead_letters": [{"step": "cents"}]})
    with pytest.raises(AssertionError, match=r'(?s)-      "cents": 300.*\+      "cents": 200.*dead letter: cents: '):
        flow.test(given, expect={"sink": [{"id": 1, "cents": 300}]})
    assert not (tmp_path / "paid.jsonl").exists()


def test_a_test_that_is_not_written_right_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"test: expect.snk: unknown key 'snk'; did you mean 'sink'"):
        flow_of(tmp_path).test([{}], expect={"snk": []})
    with pytest.raises(SpecError, match="has no sink 'other'"):
        flow_of(tmp_path).test([{}], expect={"sinks": {"other": []}})


def test_accounts_that_others_can_read_are_told_when_a_flow_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text('[shop]\nurl = "sqlite:///shop.sqlite"\n')
    accounts.chmod(0o644)
    flow = Flow("a", accounts=accounts).trigger("sql", account="shop", table="orders", cursor_column="id").sink("drop")
    assert not caplog.records
    flow.graph()
    assert "can be read by others" in caplog.text
