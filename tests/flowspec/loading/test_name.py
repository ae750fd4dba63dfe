"""The name of a flow, whatever else is wrong with its spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowspec.errors import FlowError
from flowspec.loading.name import load_name


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("orders.json", '{"name": "orders", "trigger": "${NOT_SET}"}'),
        ("orders.yaml", "name: orders\ntrigger: ${NOT_SET}\n"),
        ("orders.yaml", "{name: orders}"),
        ("orders", '{"name": "orders"}'),
        ("orders.json", '{"name": "${NO_SUCH_NAME:orders}"}'),
    ],
)
def test_only_the_name_has_to_be_right(tmp_path: Path, file: str, text: str) -> None:
    (tmp_path / file).write_text(text)
    assert load_name(tmp_path / file) == "orders"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{}", "the flow has no name that could be looked for"),
        ("", "the flow has no name that could be looked for"),
        ('{"name": "a/b"}', "the flow has no name that could be looked for"),
        ('{"name": "${NO_SUCH_NAME}"}', "NO_SUCH_NAME is not set"),
    ],
)
def test_a_name_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "orders.json").write_text(text)
    with pytest.raises(FlowError, match=says):
        load_name(tmp_path / "orders.json")
