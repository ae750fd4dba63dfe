from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowspec.errors import FlowError
from pipelines.accounts.editing import mode_of, replace_text, with_table, without_table

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = """\
# Accounts of the shop.

# Ask operations for the password.
[rabbit]
url = "amqp://rabbit.example.com/"  # the new one
notes = '''
[not.a.table]
'''

[api]
base_url = "https://api.example.com"

[api.headers]
X-Tenant = "shop"

# Ours.
["my db"]
url = "sqlite:///shop.db"
"""


def test_a_table_is_added_at_the_end() -> None:
    assert with_table("", "a", {"b": 1}) == "[a]\nb = 1\n"
    assert with_table("# none yet\n", "a", {"b": 1}) == "# none yet\n\n[a]\nb = 1\n"
    values = {"b": True, "c": 1.5, "d": ["x", 'y"\n'], "e": {"X-Tenant": "shop", "a b": "\x7f\x1b"}}
    changed = with_table(FILE, "my shop", values)
    assert changed.startswith(FILE)
    assert tomllib.loads(changed) == {**tomllib.loads(FILE), "my shop": values}


@pytest.mark.parametrize("values", [{"a": None}, {"a": "\udcff"}, {"a": [1, None]}])
def test_what_toml_cannot_have_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(FlowError, match="account 'b' cannot be added"):
        with_table("", "b", values)


texts = st.text(st.characters(exclude_categories=["Cs"]))


@settings(max_examples=50)
@given(st.dictionaries(texts, st.recursive(texts | st.integers(-(2**63), 2**63 - 1) | st.booleans(), st.lists)), texts)
def test_any_table_can_be_added_and_removed(values: dict[str, Any], name: str) -> None:
    changed = with_table(FILE, name, values) if name not in tomllib.loads(FILE) else FILE
    assert tomllib.loads(without_table(changed, name)) == {
        key: table for key, table in tomllib.loads(FILE).items() if key != name
    }


def test_a_table_is_removed_with_its_own_comment_and_tables() -> None:
    assert without_table(FILE, "rabbit") == FILE.replace(FILE[FILE.index("# Ask") : FILE.index("[api]")], "")
    assert without_table(FILE, "api") == FILE.replace(FILE[FILE.index("[api]") : FILE.index("# Ours")], "")
    assert without_table(FILE, "my db") == FILE[: FILE.index("# Ours")]


def test_the_heading_of_a_file_stays() -> None:
    assert without_table("# Accounts.\n[a]\nb = 1\n", "a") == "# Accounts.\n"
    assert without_table("# Accounts.\n\n# Of a.\n[a]\nb = 1\n", "a") == "# Accounts.\n\n"


def test_line_ends_stay() -> None:
    assert without_table("[a]\r\nb = 1\r\n[c]\r\n", "a") == "[c]\r\n"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ('[c]\nd = """\n[a]\n"""\n[a]\n', '[c]\nd = """\n[a]\n"""\n'),
        ('[a]\nb = """\n[c]\n"""\n[d]\n', "[d]\n"),
        ("[a]\nb = [\n[1],\n# c\n[2]]\n[d]\n", "[d]\n"),
        ("[[a]]\nb = 1\n[[a]]\n[d]\n", "[d]\n"),
        ("[a.b]\n[d]\n[a.c]\n", "[d]\n"),
    ],
)
def test_what_only_looks_like_the_beginning_of_a_table_is_none(text: str, left: str) -> None:
    assert without_table(text, "a") == left


@pytest.mark.parametrize("text", ["a = { b = 1 }\n", "a.b = 1\n"])
def test_a_table_that_cannot_be_told_from_the_rest_is_left_to_a_person(text: str) -> None:
    with pytest.raises(FlowError, match="account 'a' cannot be told from the rest of the file; remove it by hand"):
        without_table(text, "a")


def test_a_file_is_replaced_with_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "accounts.toml"
    replace_text(file, "ä", 0o600)
    assert (file.read_bytes(), mode_of(file)) == ("ä".encode(), 0o600)
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    replace_text(link, "b", 0o640)
    assert link.is_symlink()
    assert (file.read_text(), mode_of(file)) == ("b", 0o640)
    assert sorted(tmp_path.iterdir()) == [file, link]


def test_a_file_that_cannot_be_replaced_is_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(FlowError, match=r"gone/accounts\.toml cannot be written: No such file or directory"):
        replace_text(tmp_path / "gone" / "accounts.toml", "", 0o600)
    (tmp_path / "accounts.toml").mkdir()
    with pytest.raises(FlowError, match="cannot be written: Is a directory"):
        replace_text(tmp_path / "accounts.toml", "", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["accounts.toml"]
