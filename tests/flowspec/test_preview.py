from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowspec import FlowSpec, Record, loads
from flowspec.errors import FatalError, FlowError, RecordError, TransientError
from flowspec.formats import Decoder
from flowspec.preview import Preview, pass_through, preview
from tests.flowspec.parts import Listen

STEPS: list[dict[str, Any]] = [
    {"id": "paid", "filter": "total > 1"},
    {"split": {"list": "items", "as": "item"}},
    {"id": "each", "map": {"share": "total / item"}},
]


def flow(*steps: dict[str, Any], **trigger: Any) -> FlowSpec:
    return loads(
        json.dumps(
            {
                "name": "orders",
                "trigger": {"connector": "test-shop", "event": "listen", "queue": "http://shop", **trigger},
                "steps": steps,
                "sink": {"connector": "test-store"},
            }
        )
    )


def outcomes(seen: Preview) -> list[tuple[str, list[Any], str]]:
    return [
        (passage.step, [record.body for record in passage.left], str(passage.error or "")) for passage in seen.passages
    ]


def test_a_record_is_seen_as_it_leaves_each_step() -> None:
    raw = b'{"id": 7, "total": 6, "items": [1, 2]}'
    (seen,) = pass_through(flow(*STEPS, external_id="id"), [Record(raw)])
    body = {"id": 7, "total": 6, "items": [1, 2]}
    assert seen.received == Record(raw)
    assert outcomes(seen) == [
        ("decode", [body], ""),
        ("external_id", [body], ""),
        ("paid", [body], ""),
        ("split-2", [{**body, "item": 1}, {**body, "item": 2}], ""),
        ("each", [{"share": 6.0}], ""),
        ("each", [{"share": 3.0}], ""),
    ]
    assert [record.body for record in seen.left] == [{"share": 6.0}, {"share": 3.0}]
    assert {record.external_id for record in seen.left} == {"7"}


def test_a_record_is_followed_until_it_is_dropped_or_fails() -> None:
    dropped, broken, half = pass_through(
        flow(*STEPS), [Record('{"total": 1}'), Record("{"), Record('{"total": 2, "items": [0, 1]}')]
    )
    assert outcomes(dropped)[-1] == ("paid", [], "")
    assert dropped.left == broken.left == ()
    (passage,) = broken.passages
    assert passage.step == "decode"
    assert isinstance(passage.error, RecordError)
    assert str(passage.error).startswith("payload is not json: ")
    assert outcomes(half)[-2:] == [
        ("each", [], "share: total / item: division by zero"),
        ("each", [{"share": 2.0}], ""),
    ]
    assert [record.body for record in half.left] == [{"share": 2.0}]


BRANCHES: list[dict[str, Any]] = [
    {"split": "items"},
    {
        "id": "by-size",
        "route": {
            "cases": [
                {
                    "id": "big",
                    "when": "body > 10",
                    "steps": [
                        {"id": "ten", "map": {"tens": "body / 10"}},
                        {"route": {"cases": [{"when": "tens > 5", "sink": {"connector": "test-store"}}]}},
                    ],
                    "sink": {"connector": "test-store"},
                },
                {"id": "zero", "when": "body == 0"},
            ]
        },
    },
    {"id": "rest", "map": {"n": "body"}},
]


def test_it_is_seen_which_branch_a_record_takes() -> None:
    (seen,) = pass_through(flow(*BRANCHES), [Record('{"items": [70, 0, 1, 20, "x"]}')])
    assert [
        (passage.step, passage.branch, [record.body for record in passage.left]) for passage in seen.passages[2:]
    ] == [
        ("by-size", "by-size-big", [70]),
        ("by-size", "by-size-zero", []),
        ("by-size", "", [1]),
        ("by-size", "by-size-big", [20]),
        ("by-size", None, []),
        ("ten", None, [{"tens": 7.0}]),
        ("ten", None, [{"tens": 2.0}]),
        ("by-size-big-route-2", "by-size-big-route-2-case-1", [{"tens": 7.0}]),
        ("by-size-big-route-2", "", [{"tens": 2.0}]),
        ("rest", None, [{"n": 1}]),
    ]
    (failed,) = [passage for passage in seen.passages if passage.error is not None]
    assert str(failed.error).startswith("when of big: ")
    assert [record.body for record in seen.left] == [{"tens": 7.0}, {"tens": 2.0}, {"n": 1}]


@pytest.mark.parametrize(
    ("through", "left"),
    [("by-size", [70, 1]), ("ten", [{"tens": 7.0}, 1]), ("rest", [{"tens": 7.0}, {"n": 1}])],
)
def test_the_last_step_may_be_one_of_a_branch(through: str, left: list[Any]) -> None:
    (seen,) = pass_through(flow(*BRANCHES), [Record('{"items": [70, 0, 1]}')], through=through)
    assert seen.passages[-1].step == through
    assert [record.body for record in seen.left] == left


def test_a_branch_is_looked_at_up_to_a_step_that_remembers() -> None:
    steps: list[dict[str, Any]] = [
        {
            "route": {
                "cases": [
                    {
                        "when": "n > 1",
                        "steps": [{"dedupe": "n"}, {"set": {"m": "n"}}],
                        "sink": {"connector": "test-store"},
                    }
                ],
            }
        },
        {"id": "last", "set": {"m": 0}},
    ]
    spec = flow(*steps)
    first, second = pass_through(spec, [Record('{"n": 2}'), Record('{"n": 1}')])
    assert [record.body for record in (*first.left, *second.left)] == [{"n": 2}, {"n": 1, "m": 0}]
    with pytest.raises(FlowError, match=r"\(steps: decode, route-1, last\)"):
        pass_through(spec, [], through="route-1-case-1-set-2")


def test_the_last_step_may_be_chosen() -> None:
    record = '{"id": 7, "total": 6, "items": []}'
    spec = flow(*STEPS, external_id="id")
    for through, count in (("decode", 1), ("external_id", 2), ("paid", 3)):
        (seen,) = pass_through(spec, [Record(record)], through=through)
        assert seen.passages[-1].step == through
        assert len(seen.passages) == count
        assert len(seen.left) == 1
    with pytest.raises(FlowError, match=r"has no step 'piad'; did you mean 'paid'\? \(steps: decode, external_id, pai"):
        pass_through(spec, [], through="piad")


def test_a_step_that_changes_a_body_in_place_does_not_change_what_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "preview_steps.py").write_text("def spoil(body):\n    body['items'].append(9)\n    return body\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    (seen,) = pass_through(
        flow({"python": "preview_steps:spoil"}, {"drop": ["id"]}), [Record('{"id": 1, "items": []}')]
    )
    assert outcomes(seen) == [
        ("decode", [{"id": 1, "items": []}], ""),
        ("python-1", [{"id": 1, "items": [9]}], ""),
        ("drop-2", [{"items": [9]}], ""),
    ]


def test_what_cannot_be_told_at_present_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(raw: bytes | str) -> Any:
        msg = "the registry is down"
        raise TransientError(msg)

    def decoder(self: Listen) -> Decoder:
        return decode

    monkeypatch.setattr(Listen, "decoder", decoder)
    (seen,) = pass_through(flow(), [Record("{}")])
    assert outcomes(seen) == [("decode", [], "the registry is down")]


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    steps = [
        {"filter": "1 / total", "on_error": {"retry": {"attempts": 3}}},
        {"map": {"x": "gone"}, "on_error": "stop"},
    ]
    seen = pass_through(flow(*steps), [Record('{"total": 0}'), Record('{"total": 1}')])
    assert [outcomes(each)[-1][0] for each in seen] == ["filter-1", "map-2"]
    assert list(tmp_path.iterdir()) == []


def test_a_trigger_that_cannot_be_looked_at_says_so() -> None:
    with pytest.raises(FatalError, match="records of test-shop / listen cannot be looked at without consuming them"):
        preview(flow())
