"""Walking a flow, branches and all."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from flowspec.connectors import Action, Trigger
from flowspec.expressions import Expression
from flowspec.loading import loads
from flowspec.spec import FlowSpec
from flowspec.steps.dedupe import Dedupe
from flowspec.steps.filter import Filter
from flowspec.steps.route import Route
from tests.flowspec.parts import Listen, Store

STORE = {"connector": "test-store", "action": "put"}
DOCUMENT: dict[str, Any] = {
    "name": "orders",
    "trigger": {"connector": "test-shop", "event": "listen", "queue": "http://shop"},
    "steps": [
        {"filter": "total > 5"},
        {
            "route": {
                "cases": [
                    {
                        "id": "spain",
                        "when": "country == 'ES'",
                        "steps": [
                            {"filter": "total > 7"},
                            {"id": "size", "route": {"cases": [{"when": "total > 9", "sink": {**STORE, "id": "big"}}]}},
                        ],
                        "sinks": [STORE, STORE],
                    },
                    {"when": "country == 'FR'", "sink": STORE},
                    {"id": "tests", "when": "country == 'XX'"},
                ],
            }
        },
        {"id": "last", "filter": "total > 8"},
    ],
    "sink": STORE,
}
CASE = ("steps", 1, "route", "cases", 0)


def document(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in {**DOCUMENT, **changes}.items() if value is not ...}


def test_all_steps_and_sinks_have_ids_that_say_where_they_are() -> None:
    spec = FlowSpec.model_validate(DOCUMENT)
    assert [name for name, _ in spec.named_steps()] == [
        "filter-1",
        "route-2",
        "route-2-spain-filter-1",
        "size",
        "last",
    ]
    assert [name for name, _ in spec.named_sinks()] == [
        "big",
        "route-2-spain-test-store-put",
        "route-2-spain-test-store-put-2",
        "route-2-case-2-test-store-put",
        "test-store-put",
    ]
    assert {part.id: part.path for part in spec.way().all_steps()}["size"] == (*CASE, "steps", 1)
    paths = {part.id: part.path for part in spec.way().all_sinks()}
    assert paths["big"] == (*CASE, "steps", 1, "route", "cases", 0, "sinks", 0)
    assert paths["test-store-put"] == ("sinks", 0)


def test_what_is_behind_a_step_is_not_in_the_branches_beside_it() -> None:
    way = FlowSpec.model_validate(DOCUMENT).way()
    first, route, last = way.steps
    assert way.behind(first)[:2] == ["route-2", "route-2-spain-filter-1"]
    assert set(way.behind(first)) == set(way.ids()) - {"filter-1"}
    assert way.behind(route) == ["last", "test-store-put"]
    spain = route.branches[0]
    assert spain.behind(spain.steps[0]) == [
        "size",
        "big",
        "route-2-spain-test-store-put",
        "route-2-spain-test-store-put-2",
    ]
    assert way.behind(last) == ["test-store-put"]


def test_a_flow_with_branches_and_its_document_are_the_same() -> None:
    spec = FlowSpec.model_validate(DOCUMENT)
    assert spec.to_spec() == DOCUMENT
    closed = document(
        steps=[{"route": {"cases": [{"when": "a", "sink": STORE}], "otherwise": {"sink": STORE}}}], sink=...
    )
    assert FlowSpec.model_validate(closed).to_spec() == closed
    assert FlowSpec.model_validate(json.loads(json.dumps(spec.to_spec()))) == spec


def test_other_parts_are_put_in_the_places_of_all() -> None:
    spec = FlowSpec.model_validate(DOCUMENT)
    changed = spec.way().changed(
        lambda name, step: step.model_copy(update={"id": f"step-{name}"}),
        lambda name, sink: Store(id=f"sink-{name}", path=name),
    )
    other = spec.model_copy(update=changed)
    assert [name for name, _ in other.named_steps()] == [f"step-{name}" for name, _ in spec.named_steps()]
    assert [(name, sink) for name, sink in other.named_sinks()] == [
        (f"sink-{name}", Store(id=f"sink-{name}", path=name)) for name, _ in spec.named_sinks()
    ]
    assert next(name for name, _ in spec.named_sinks()) == "big", "the flow itself is as it was"


def test_ids_are_used_once_in_the_whole_flow() -> None:
    with pytest.raises(ValidationError, match="the id 'big' is used twice"):
        FlowSpec.model_validate(document(sink={**STORE, "id": "big"}))
    other = FlowSpec.model_validate(document(sink={**STORE, "id": "filter-1"}))
    assert next(name for name, _ in other.named_steps()) == "filter-1-2"


OTHERWISE = {"route": {"cases": [{"when": "a", "sink": STORE}], "otherwise": {}}}


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"steps": [OTHERWISE, {"filter": "a"}], "sink": ...}, ("sinks",), "Field required"),
        (
            {"steps": [OTHERWISE, {"filter": "a"}]},
            ("steps", 1),
            "no record comes here: 'route' before it has 'otherwise'",
        ),
        ({"steps": [OTHERWISE]}, ("sinks",), "no record comes here: 'route' before it has 'otherwise'"),
        ({"steps": [], "sink": ...}, ("sinks",), "Field required"),
        ({"steps": [], "sink": ..., "sinks": []}, ("sinks",), "at least 1 item"),
        ({"steps": [DOCUMENT["steps"][1]], "sink": ...}, ("sinks",), "Field required"),
    ],
)
def test_records_go_somewhere_and_all_that_is_there_is_reached(
    changes: dict[str, Any], place: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        FlowSpec.model_validate(document(**changes))
    (error,) = refused.value.errors()
    assert error["loc"] == place
    assert message in error["msg"]


def test_a_flow_of_models_may_end_in_a_route() -> None:
    steps = [Filter(filter=Expression("a")), Route.model_validate(OTHERWISE)]
    trigger = Listen(queue="http://shop")
    for spec in (
        FlowSpec(name="a", trigger=trigger, steps=steps),
        FlowSpec(name="a", trigger=trigger, steps=steps, sinks=[]),
    ):
        assert spec.sinks == []
        assert [name for name, _ in spec.named_sinks()] == ["route-2-case-1-test-store-put"]


class Transactional(Store):
    """A sink that commits with its trigger."""

    alone_only: bool = False

    @property
    def commits_with_trigger(self) -> bool:
        return True

    def misfit(self, trigger: Trigger, sinks: int) -> tuple[str, str] | None:
        return ("alone_only", f"not with {sinks - 1} others") if self.alone_only and sinks > 1 else None


def in_a_branch(sink: Action, *steps: Any, **options: Any) -> FlowSpec:
    step = {"route": {"cases": [{"when": "a", "steps": list(steps), "sinks": [sink]}]}, **options}
    return FlowSpec.model_validate({**DOCUMENT, "steps": [step]})


@pytest.mark.parametrize(
    ("sink", "steps", "options", "place"),
    [
        (Transactional(alone_only=True), [], {}, ("sinks", 0, "alone_only")),
        (Transactional(), [{"filter": "a", "on_error": {"retry": {}}}], {}, ("steps", 0, "on_error")),
        (Transactional(on_error={"retry": {}}), [], {}, ("sinks", 0, "on_error")),
        (Transactional(), [{"dedupe": "a"}], {}, ("sinks", 0, "exactly_once")),
    ],
)
def test_what_does_not_fit_in_a_branch_has_its_place(
    sink: Action, steps: list[Any], options: dict[str, Any], place: tuple[Any, ...]
) -> None:
    with pytest.raises(ValidationError) as refused:
        in_a_branch(sink, *steps, **options)
    (error,) = refused.value.errors()
    assert error["loc"] == ("steps", 0, "route", "cases", 0, *place)


def test_a_flow_remembers_what_a_branch_remembers() -> None:
    spec = in_a_branch(Store(), {"dedupe": "a"})
    assert spec.remembers
    assert isinstance(dict(spec.named_steps())["route-1-case-1-dedupe-1"], Dedupe)
    assert not in_a_branch(Store()).remembers


def test_a_flow_of_a_file_is_the_same() -> None:
    assert loads(json.dumps(DOCUMENT)) == FlowSpec.model_validate(DOCUMENT)
