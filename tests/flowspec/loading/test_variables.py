from __future__ import annotations

import pytest

from flowspec.loading import loads
from flowspec.loading.variables import VariableError, fill_in_text
from tests.flowspec.loading.wrong import problems, said, spec
from tests.flowspec.parts import Listen

ENVIRON = {"HOST": "shop", "EMPTY": "", "ODD": "${HOST}"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("http://${HOST}/${HOST}", "http://shop/shop"),
        ("${PORT:80}", "80"),
        ("${HOST:other}", "shop"),
        ("${URL:http://x:80/}", "http://x:80/"),
        ("${NONE:}", ""),
        ("${EMPTY:full}", ""),
        ("${ODD}", "${HOST}"),
        ("$${HOST} costs $5", "${HOST} costs $5"),
        ("{HOST} $HOST", "{HOST} $HOST"),
    ],
)
def test_variables_are_put_in_place(text: str, filled: str) -> None:
    assert fill_in_text(text, ENVIRON) == filled


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("${HOTS}", "the environment variable HOTS is not set", "set it, or write '${HOTS:default}'; there is HOST"),
        ("${HOST", "a variable is written '${NAME}' or '${NAME:default}'", "write '$${' for a plain '${'"),
        ("${1}", "a variable is written '${NAME}' or '${NAME:default}'", "write '$${' for a plain '${'"),
    ],
)
def test_what_has_no_value_is_a_mistake(text: str, message: str, hint: str) -> None:
    with pytest.raises(VariableError) as caught:
        fill_in_text(text, ENVIRON)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_variables_become_what_the_field_needs() -> None:
    text = spec(
        trigger={"batch_size": "${BATCH:20}", "wait": "${WAIT}", "tags": ["${TAG:a}"]},
        steps=[{"filter": "a > ${LIMIT}"}],
    )
    loaded = loads(text, environ={"WAIT": "5s", "LIMIT": "7"})
    assert isinstance(loaded.trigger, Listen)
    assert (loaded.trigger.batch_size, loaded.trigger.wait, loaded.trigger.tags) == (20, 5.0, ["a"])
    assert loaded.to_spec()["steps"] == [{"filter": "a > 7"}]


def test_all_missing_variables_are_named_and_nothing_else_about_them() -> None:
    assert problems(spec(trigger={"batch_size": "${BATCH}", "queue": "${QUEUE}"}, steps=[{"filter": "${FILTER}"}])) == [
        f"{path}: the environment variable {name} is not set; set it, or write '${{{name}:default}}'"
        for path, name in [("trigger.queue", "QUEUE"), ("trigger.batch_size", "BATCH"), ("steps[0].filter", "FILTER")]
    ]


@pytest.mark.parametrize(
    "place",
    [
        {"trigger": {"batch_size": "${S}"}},
        {"trigger": {"queue": "${S}"}},
        {"trigger": {"wait": "${S}"}},
        {"trigger": {"format": "${S}"}},
        {"trigger": {"connector": "${S}"}},
        {"trigger": {"account": "${S}"}},
        {"trigger": {"account": {"port": "${S}"}}},
        {"trigger": {"external_id": "${S}()"}},
        {"steps": [{"python": "${S}:run"}]},
        {"steps": [{"rename": {"a": "${S}", "b": "${S}"}}]},
        {"steps": [{"log": {"message": "x", "level": "${S}"}}]},
        {"name": "${S} "},
    ],
)
def test_what_a_variable_stands_for_is_never_shown(place: dict[str, object]) -> None:
    text = spec(**place)
    shown = said(text, environ={"S": "hunter2"})
    assert "hunter" not in shown
    assert shown.startswith("spec.json:")
    assert "1 problem found" in shown
