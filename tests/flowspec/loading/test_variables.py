from __future__ import annotations

from pathlib import Path

import pytest

from flowspec.loading import SpecError, load, loads
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
    assert fill_in_text(text, ENVIRON, Path()) == filled


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("${HOTS}", "the environment variable HOTS is not set", "set it, or write '${HOTS:default}'; there is HOST"),
        (
            "${HOST",
            "a variable is written '${NAME}', '${NAME:default}' or '${file:PATH}'",
            "write '$${' for a plain '${'",
        ),
        (
            "${1}",
            "a variable is written '${NAME}', '${NAME:default}' or '${file:PATH}'",
            "write '$${' for a plain '${'",
        ),
    ],
)
def test_what_has_no_value_is_a_mistake(text: str, message: str, hint: str) -> None:
    with pytest.raises(VariableError) as caught:
        fill_in_text(text, ENVIRON, Path())
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


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"hunter2", "hunter2"),
        (b"hunter2\n", "hunter2"),
        (b"hunter2\r\n", "hunter2"),
        (b"\xef\xbb\xbfhunter2", "hunter2"),
        (b"a\nb\n\n", "a\nb\n"),
        (b" ${HOST} \n", " ${HOST} "),
        (b"", ""),
    ],
)
def test_a_file_stands_for_its_content_without_the_last_line_end(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "secret").write_bytes(content)
    assert fill_in_text("<${file:secret}>", ENVIRON, tmp_path) == f"<{text}>"
    assert fill_in_text(f"${{file:{tmp_path}/secret}}", ENVIRON, Path("elsewhere")) == text


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("gone", "there is no file {folder}/gone", "see that it is mounted, or correct the path"),
        ("", "'${{file:}}' does not name a file", "write the path itself, like '${{file:/run/secrets/password}}'"),
        (
            "${HOST}",
            "'${{file:${{HOST}}' does not name a file: variables do not go into each other",
            "write the path itself, like '${{file:/run/secrets/password}}'",
        ),
        (".", "{folder} is a directory", "name a file in it"),
        ("binary", "the file {folder}/binary is not UTF-8 text", "save it as UTF-8"),
        ("huge", "the file {folder}/huge has more than 1024 KiB", "name a file that has one value"),
        ("a\0b", "the file {folder}/a\0b cannot be read: embedded null byte", "see that the user of this process may"),
    ],
)
def test_a_file_that_has_no_value_is_a_mistake(tmp_path: Path, written: str, message: str, hint: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"x" * (1024 * 1024 + 1))
    with pytest.raises(VariableError) as caught:
        fill_in_text(f"${{file:{written}}}", ENVIRON, tmp_path)
    assert str(caught.value) == message.format(folder=tmp_path)
    assert caught.value.hint.startswith(hint.format())


def test_files_of_a_spec_are_beside_it_and_what_they_have_is_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "size").write_text("20\n")
    (tmp_path / "spec.json").write_text(spec(trigger={"batch_size": "${file:size}"}))
    assert load(tmp_path / "spec.json").trigger.batch_size == 20
    (tmp_path / "size").write_text("hunter2\n")
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.json")
    assert "trigger.batch_size: expected a whole number, found another text" in str(caught.value)
    (tmp_path / "size").unlink()
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "spec.json")
    assert str(caught.value).splitlines()[0] == (
        f"{tmp_path}/spec.json:7: trigger.batch_size: there is no file {tmp_path}/size; "
        "see that it is mounted, or correct the path"
    )
