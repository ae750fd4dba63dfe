"""Mistakes, accounts and secrets in the branches of a flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowspec.connectors import Action, Trigger
from flowspec.loading import loads
from flowspec.loading.parts import parts_of
from flowspec.steps.base import Step
from pipelines.accounts.checks import checks_of_flow, used_accounts
from sources.rabbitmq.account import RabbitAccount
from tests.flowspec.loading.wrong import problems, spec

SINK = {"connector": "test-store"}
RABBIT = {"connector": "rabbitmq", "routing_key": "orders"}
PLACE = "steps[0].route.cases[0]"


def branched(case: dict[str, Any], **changes: Any) -> str:
    return spec(**{"steps": [{"route": {"cases": [{"when": "a", **case}]}}], **changes})


@pytest.mark.parametrize(
    ("case", "problem"),
    [
        ({"steps": [{"filter": "a ="}], "sink": SINK}, f"{PLACE}.steps[0].filter: '=' assigns (column 3)"),
        ({"steps": [{"fliter": "a"}], "sink": SINK}, f"{PLACE}.steps[0].fliter: unknown step 'fliter'; did you mean"),
        ({"steps": [{"filter": "a"}]}, f"{PLACE}: 'sink' is missing"),
        (
            {"sink": {"connector": "test-stoer"}},
            f"{PLACE}.sink.connector: unknown connector 'test-stoer'; did you mean",
        ),
        ({"sink": {**SINK, "paht": "x"}}, f"{PLACE}.sink.paht: unknown key 'paht'; did you mean 'path'?"),
        ({"sinks": [SINK, {**SINK, "paht": "x"}]}, f"{PLACE}.sinks[1].paht: unknown key 'paht'; did you mean 'path'?"),
        ({"sinks": []}, None),
        (
            {"sink": SINK, "sinks": [SINK]},
            f"{PLACE}.sink: a branch has 'sink' or 'sinks', not both; put it into the list",
        ),
        ({"sniks": [SINK]}, f"{PLACE}.sniks: unknown key 'sniks'; did you mean 'sinks'?"),
        ({"when": 5, "whne": "a"}, f"{PLACE}.whne: unknown key 'whne'; did you mean 'when'?"),
        ({"sink": {**SINK, "id": "a b"}}, f"{PLACE}.sink.id: does not match the pattern"),
        (
            {"sink": {**RABBIT, "account": "gone"}},
            f"{PLACE}.sink.account: there is no acc",
        ),
    ],
)
def test_a_mistake_in_a_branch_has_its_place(case: dict[str, Any], problem: str | None) -> None:
    if problem is None:
        loads(branched(case))
    else:
        (said,) = problems(branched(case))
        assert said.startswith(problem)


def test_all_mistakes_are_named_at_once() -> None:
    text = branched(
        {
            "id": "x y",
            "steps": [{"id": "same", "filter": "a ="}, {"id": "same", "route": {"cases": []}}],
            "sink": {"connector": "test-store", "id": "same", "on_error": "explode"},
        },
        sink=...,
    )
    assert [said.split(": ")[0] for said in problems(text)] == [
        "'sink' is missing",
        f"{PLACE}.id",
        f"{PLACE}.steps[0].filter",
        f"{PLACE}.steps[1].id",
        f"{PLACE}.steps[1].route.cases",
        f"{PLACE}.sink.id",
        f"{PLACE}.sink.on_error",
    ]


def test_nothing_comes_behind_a_route_with_otherwise() -> None:
    steps = [{"route": {"cases": [{"when": "a", "sink": SINK}], "otherwise": {}}}]
    loads(spec(steps=steps, sink=...))
    assert problems(spec(steps=steps)) == [
        "sink: no record comes here: 'route' before it has 'otherwise'; leave that out, or the sink"
    ]
    assert problems(spec(steps=[*steps, {"filter": "a"}])) == [
        (
            "steps[1]: no record comes here: 'route' before it has 'otherwise'; leave that out, or put the step into "
            "the branches"
        )
    ]


def test_accounts_in_branches_are_known_checked_and_secret(tmp_path: Path) -> None:
    accounts = tmp_path / "accounts.toml"
    accounts.write_text('[rabbit]\nusername = "shop"\npassword = "very-secret"\n')
    accounts.chmod(0o600)
    sinks = [{**RABBIT, "account": "rabbit"}, {**RABBIT, "account": {"password": "also-secret"}}]
    flow = loads(branched({"sinks": sinks}), accounts=accounts, environ={})
    named, inline, _ = (sink for _, sink in flow.named_sinks())
    assert isinstance(named.account, RabbitAccount)
    assert isinstance(inline.account, RabbitAccount)
    assert (named.account.username, inline.account.username) == ("shop", None)
    assert list(used_accounts(flow)) == ["rabbit"]
    assert [check.name for check in checks_of_flow(flow)] == [
        "trigger (test-shop / listen)",
        "sink route-1-case-1-rabbitmq-publish (rabbitmq / publish)",
        "sink route-1-case-1-rabbitmq-publish-2 (rabbitmq / publish)",
        "sink test-store-put (test-store / put)",
    ]
    (step,) = flow.to_spec()["steps"]
    written = step["route"]["cases"][0]["sinks"]
    assert [sink["account"] for sink in written] == ["rabbit", {"password": "**********"}]
    assert "-secret" not in f"{flow!r}{flow.to_spec()}"


@pytest.mark.parametrize("account", [{"password": ["a-secret"]}, {"a-secret": 1, "username": "b-secret"}])
def test_what_an_account_has_is_in_no_message(account: Any) -> None:
    (said,) = problems(branched({"sink": {**RABBIT, "account": account}}))
    assert said.startswith(f"{PLACE}.sink.account")
    assert "b-secret" not in said
    assert '"a-secret"' not in said


def test_the_parts_of_a_document() -> None:
    document = {
        "trigger": {"connector": "test-shop"},
        "dead_letters": SINK,
        "steps": [
            {"route": {"cases": [{"steps": [{"log": "a"}], "sink": SINK}, 7], "otherwise": {"sinks": [SINK, "x"]}}},
            {"fliter": {"sink": SINK}},
            "x",
        ],
        "sinks": SINK,
    }
    case = ("steps", 0, "route", "cases", 0)
    assert dict(parts_of(document)) == {
        ("trigger",): Trigger,
        ("dead_letters",): Action,
        ("steps", 0): Step,
        (*case, "steps", 0): Step,
        (*case, "sink"): Action,
        ("steps", 0, "route", "otherwise", "sinks", 0): Action,
        ("steps", 1): Step,
        ("sinks",): Action,
    }
    assert list(parts_of("x")) == []
