from __future__ import annotations

from pathlib import Path

import pytest

from flowspec.loading import SpecError, find_accounts, load
from flowspec.spec import FlowSpec
from tests.flowspec.loading.wrong import problems, said, spec
from tests.flowspec.parts import Listen, ShopAccount

ACCOUNTS = """\
# ours
[main]
connector = "test-shop"
region = "us"
token = "${TOKEN}"

[plain]
port = 5

[sqs]
connector = "amazon-sqs"
region = "eu-west-1"

[wrong]
regoin = "us"
port = "hunter2"
token = "abc"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def loaded(folder: Path, account: object, **environ: str) -> FlowSpec:
    (folder / "spec.json").write_text(spec(trigger={"account": account}))
    return load(folder / "spec.json", environ=environ)


def account(flow: FlowSpec) -> ShopAccount:
    assert isinstance(flow.trigger.account, ShopAccount)
    return flow.trigger.account


def refused(folder: Path, account: object, **environ: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        loaded(folder, account, **environ)
    return str(caught.value).replace(str(folder) + "/", "").splitlines()[:-1]


def test_a_name_stands_for_an_account_of_the_file(folder: Path) -> None:
    flow = loaded(folder, "main", TOKEN="from-the-environment")
    token = account(flow).token
    assert token is not None
    assert token.get_secret_value() == "from-the-environment"
    assert (account(flow).region, account(flow).known_as) == ("us", "main")
    assert flow.to_spec()["trigger"]["account"] == "main"
    assert account(loaded(folder, "plain")).port == 5


def test_an_account_may_be_in_the_spec_or_left_out(folder: Path) -> None:
    assert account(loaded(folder, {"region": "us"})).known_as is None
    assert loaded(folder, None).trigger.account is None


def test_the_file_that_is_named_wins_then_the_one_beside_the_spec_then_the_one_here(folder: Path) -> None:
    here = folder / "elsewhere" / "accounts.toml"
    here.write_text("[plain]\nport = 6\n[here]\n")
    assert account(loaded(folder, "plain")).port == 5
    assert account(load(folder / "spec.json", here)).port == 6
    (folder / "accounts.toml").unlink()
    assert account(load(folder / "spec.json")).port == 6


def test_accounts_that_are_not_there(folder: Path) -> None:
    assert refused(folder, "mian") == [
        "spec.json:7: trigger.account: there is no account 'mian' in accounts.toml; did you mean 'main'?"
    ]
    (folder / "accounts.toml").unlink()
    (line,) = refused(folder, "main")
    assert "there is no account 'main' in accounts.toml, which is neither beside the spec nor in this dir" in line


def test_an_account_of_another_connector(folder: Path) -> None:
    assert refused(folder, "sqs") == [
        "accounts.toml:11: sqs.connector: the account is for connector 'amazon-sqs', and used for 'test-shop'"
    ]


def test_what_is_wrong_in_the_file_is_named_there_without_values(folder: Path) -> None:
    lines = refused(folder, "wrong")
    assert lines == [
        "accounts.toml:15: wrong.regoin: unknown key 'regoin'; did you mean 'region'?",
        "accounts.toml:16: wrong.port: expected a whole number, found another text",
        (
            "accounts.toml:17: wrong.token: the value does not fit here; "
            "it is not shown: it comes from a variable or belongs to an account"
        ),
    ]
    (line,) = refused(folder, "main")
    assert line.startswith("accounts.toml:5: main.token: the environment variable TOKEN is not set")


def test_what_is_wrong_in_the_spec_is_named_there_without_values() -> None:
    text = spec(trigger={"account": {"regoin": "us", "port": "hunter2", "token": "abc"}})
    assert problems(text) == [
        "trigger.account.regoin: unknown key 'regoin'; did you mean 'region'?",
        "trigger.account.port: expected a whole number, found another text",
        (
            "trigger.account.token: the value does not fit here; "
            "it is not shown: it comes from a variable or belongs to an account"
        ),
    ]
    assert problems(spec(trigger={"account": 5})) == [
        "trigger.account: expected the name of an account, or the account as an object"
    ]
    assert problems(spec(sink={"connector": "test-store", "account": "main"})) == [
        "sink.account: connector 'test-store' has no account; leave 'account' out"
    ]


def test_a_broken_file_is_named_with_all_else(folder: Path) -> None:
    (folder / "accounts.toml").write_text('[main]\nregion = "us\n')
    (folder / "spec.json").write_text(spec(name="a b", trigger={"account": "main"}))
    with pytest.raises(SpecError) as caught:
        load(folder / "spec.json")
    first, second = caught.value.problems
    assert str(first).startswith(f"{folder}/accounts.toml:2: not valid TOML: ")
    assert second.path == "name"


def test_a_named_file_must_be_there(folder: Path) -> None:
    (folder / "spec.json").write_text(spec())
    with pytest.raises(SpecError, match=r"other\.toml: there is no such file"):
        load(folder / "spec.json", folder / "other.toml")


def test_an_account_is_made_when_it_is_asked_for(folder: Path) -> None:
    accounts = find_accounts(folder / "accounts.toml", None, {})
    assert accounts.get("plain", Listen) == ShopAccount(port=5).named("plain")
    assert "wrong" in accounts.tables


def test_one_wrong_account_is_one_problem() -> None:
    text = spec(trigger={"account": "gone"})
    assert said(text).endswith("1 problem found")


def test_a_value_may_be_in_a_file_beside_the_accounts(folder: Path) -> None:
    (folder / "accounts.toml").write_text('[main]\ntoken = "${file:secrets/token}"\n')
    assert refused(folder, "main") == [
        "accounts.toml:2: main.token: there is no file secrets/token; see that it is mounted, or correct the path"
    ]
    (folder / "secrets").mkdir()
    (folder / "secrets" / "token").write_text("from-a-file\n")
    token = account(loaded(folder, "main")).token
    assert token is not None
    assert token.get_secret_value() == "from-a-file"
    (folder / "secrets" / "token").write_text("abc\n")
    (line,) = refused(folder, "main")
    assert line.startswith("accounts.toml:2: main.token: the value does not fit here")


def test_a_variable_names_the_file_unless_an_argument_does(folder: Path) -> None:
    (folder / "other.toml").write_text("[plain]\nport = 7\n")
    environ = {"PIPELINES_ACCOUNTS": str(folder / "other.toml")}
    assert account(loaded(folder, "plain", **environ)).port == 7
    assert account(load(folder / "spec.json", folder / "accounts.toml", environ)).port == 5
    assert account(loaded(folder, "plain", PIPELINES_ACCOUNTS="")).port == 5
    (line,) = refused(folder, "plain", PIPELINES_ACCOUNTS="gone.toml")
    assert line == "gone.toml: there is no such file"


def test_an_account_may_come_from_the_environment(folder: Path) -> None:
    environ = {"PIPELINES_ACCOUNT_SHOP_2__PORT": "80", "PIPELINES_ACCOUNT_SHOP_2__TOKEN": "${as-it-is}"}
    made = account(loaded(folder, "shop-2", **environ))
    assert (made.port, made.region, made.known_as) == (80, "eu", "shop-2")
    assert made.token is not None
    assert made.token.get_secret_value() == "${as-it-is}"
    (folder / "accounts.toml").unlink()
    assert account(loaded(folder, "shop-2", **environ)) == made


def test_the_environment_takes_the_place_of_what_the_file_has(folder: Path) -> None:
    environ = {"PIPELINES_ACCOUNT_MAIN__TOKEN": "theirs", "PIPELINES_ACCOUNT_MAIN__PORT": "80"}
    made = account(loaded(folder, "main", **environ))
    assert made == ShopAccount.model_validate({"region": "us", "token": "theirs", "port": 80}).named("main")


def test_what_is_wrong_in_the_environment_is_named_there_without_values(folder: Path) -> None:
    assert refused(folder, "main", PIPELINES_ACCOUNT_MAIN__TOKEN="abc", PIPELINES_ACCOUNT_MAIN__PORT="hunter2") == [
        "environment variable PIPELINES_ACCOUNT_MAIN__PORT: main.port: expected a whole number, found another text",
        (
            "environment variable PIPELINES_ACCOUNT_MAIN__TOKEN: main.token: the value does not fit here; "
            "it is not shown: it comes from a variable or belongs to an account"
        ),
    ]
    (line,) = refused(folder, "other", PIPELINES_ACCOUNT_OTHER__REGOIN="us")
    assert line == (
        "environment variable PIPELINES_ACCOUNT_OTHER__REGOIN: other.regoin: unknown key 'regoin'; "
        "did you mean 'region'?"
    )
    (line,) = refused(folder, "other", PIPELINES_ACCOUNT_OTHER__CONNECTOR="kafka")
    assert "the account is for connector 'kafka', and used for 'test-shop'" in line
    (line,) = refused(folder, "other", PIPELINES_ACCOUNT_OTHER_PORT="5")
    assert line.endswith("add a table [other] to it, or set PIPELINES_ACCOUNT_OTHER__FIELD in the environment")


def test_a_warning_says_that_everybody_can_read_secrets(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = folder / "accounts.toml"
    file.write_text('[main]\nregion = "us"\ntoken = "hunter2"\n[other]\ntoken = "hunter3"\n')
    file.chmod(0o640)
    (folder / "spec.json").write_text(
        spec(trigger={"account": "main"}, sink=..., sinks=[{"connector": "test-store"}, {"connector": "test-store"}])
    )
    load(folder / "spec.json", environ={})
    assert caplog.messages == [
        f"{file} has secrets in it (main.token) and can be read by others than its owner: chmod 600 {file}"
    ]


@pytest.mark.parametrize(
    ("mode", "token"),
    [(0o600, "hunter2"), (0o644, "${TOKEN}"), (0o644, "${file:token}"), (0o644, "amqp://shop:5672"), (0o644, None)],
)
def test_there_is_no_warning_where_nobody_can_read_secrets(
    folder: Path, caplog: pytest.LogCaptureFixture, mode: int, token: str | None
) -> None:
    (folder / "token").write_text("hunter2")
    (folder / "accounts.toml").write_text("[main]\nport = 5\n" + (f'token = "{token}"\n' if token else ""))
    (folder / "accounts.toml").chmod(mode)
    assert account(loaded(folder, "main", TOKEN="hunter2")).port == 5
    assert caplog.messages == []
