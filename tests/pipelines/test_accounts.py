"""`pipelines accounts`."""

from __future__ import annotations

import json
import os
import pty
import select
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipelines.cli import main
from tests.pipelines.flows import ENVIRONMENT, PATIENCE
from tests.servers.sqs import SqsServer

FILE = """\
# Accounts of the shop.

# Ask operations.
[rabbit]
connector = "rabbitmq"
url = "amqp://me:hunter2@127.0.0.1:1/shop"
username = "orders"
password = "${RABBIT_PASSWORD}"
heartbeat = 30

[old]
region = "eu-west-1"

[api]
connector = "http"
base_url = "https://api.example.com"
bearer_token = "${file:token}"
api_key = "${KEY:hunter2}"
headers = { X-Tenant = "hunter2" }
trusted_hosts = ["files.example.com"]
verify = false
"""


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the accounts, in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RABBIT_PASSWORD", raising=False)
    file = tmp_path / "accounts.toml"
    file.write_text(FILE)
    file.chmod(0o600)
    return file


def accounts(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["accounts", *arguments], input=stdin)


def mode(file: Path) -> int:
    return file.stat().st_mode & 0o777


def test_accounts_are_listed_with_their_secrets_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES_ACCOUNT_RABBIT__USERNAME", "others")
    monkeypatch.setenv("PIPELINES_ACCOUNT_SHOP__CONNECTOR", "sql")
    monkeypatch.setenv("PIPELINES_ACCOUNT_SHOP__URL", "postgresql://me:hunter2@db/shop")
    result = accounts("list")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.rstrip() for line in result.stdout.splitlines()] == [
        "rabbit (rabbitmq)",
        "  url        ********            accounts.toml:6",
        "  username   others              environment variable PIPELINES_ACCOUNT_RABBIT__USERNAME",
        "  password   ${RABBIT_PASSWORD}  accounts.toml:8",
        "  heartbeat  30                  accounts.toml:9",
        "old (its connector is not named, so every field is masked)",
        "  region  ********  accounts.toml:12",
        "api (http)",
        "  base_url          https://api.example.com  accounts.toml:16",
        "  bearer_token      ${file:token}            accounts.toml:17",
        "  api_key           ********                 accounts.toml:18",
        "  headers.X-Tenant  ********                 accounts.toml:19",
        "  trusted_hosts[0]  files.example.com        accounts.toml:20",
        "  verify            false                    accounts.toml:21",
        "shop (sql)",
        "  url  ********  environment variable PIPELINES_ACCOUNT_SHOP__URL",
    ]


def test_what_is_wrong_is_listed_as_well(file: Path) -> None:
    file.write_text(
        '[a]\nconnector = "kafak"\nurl = "hunter2"\n'
        '[b]\nconnector = "amazon-sqs"\nendpoint_url = "http://me:hunter2@127.0.0.1/"\nsecret_acces_key = "hunter2"\n'
        '[c]\nconnector = "files"\n'
    )
    result = accounts("list")
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0].startswith("a (unknown connector 'kafak'; did you mean 'kafka'? (connectors with accounts: amazon-")
    assert lines[1:5] == [
        "  url  ********  accounts.toml:3",
        "b (amazon-sqs)",
        "  endpoint_url      http://********@127.0.0.1/  accounts.toml:6",
        "  secret_acces_key  ********                    accounts.toml:7",
    ]
    assert lines[5] == "c (connector 'files' has no accounts: its specs need none)"


def test_there_may_be_none(file: Path) -> None:
    file.unlink()
    for command in ("list", "test"):
        result = accounts(command)
        assert (result.exit_code, result.stdout) == (0, "")
        assert result.stderr.startswith("there are no accounts in accounts.toml, which is neither beside the spec nor")


def test_an_account_is_added_and_nobody_else_reads_the_file(file: Path) -> None:
    file.chmod(0o644)
    fields = ["username=orders", "password=-", "heartbeat=30", 'urls=["amqp://a","amqp://b"]']
    result = accounts("add", "new", *fields, "--connector", "rabbitmq", stdin="hunter2\n")
    assert (result.exit_code, result.output) == (0, "account new is added to accounts.toml\n")
    assert mode(file) == 0o600
    assert file.read_text() == FILE + (
        '\n[new]\nconnector = "rabbitmq"\nusername = "orders"\npassword = "hunter2"\nheartbeat = 30\n'
        'urls = ["amqp://a", "amqp://b"]\n'
    )


def test_the_first_account_makes_the_file(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    arguments = ["add", "api", "--connector", "http", "headers.X-Tenant=shop", "verify=false", "--accounts", str(other)]
    assert accounts(*arguments).exit_code == 0
    assert other.read_text() == '[api]\nconnector = "http"\nheaders = { X-Tenant = "shop" }\nverify = false\n'
    assert mode(other) == 0o600


def test_a_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINES_ACCOUNTS", str(tmp_path / "named.toml"))
    assert accounts("add", "api", "--connector", "http").exit_code == 0
    assert accounts("list").stdout == "api (http)\n"
    assert (tmp_path / "named.toml").exists()


def test_what_a_variable_stands_for_is_checked_where_it_is_set(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["add", "shop", "--connector", "sql", "url=${SHOP_URL}"]
    monkeypatch.setenv("SHOP_URL", "hunter2")
    result = accounts(*arguments)
    assert (result.exit_code, file.read_text()) == (2, FILE)
    assert "account: shop.url: " in result.stderr
    monkeypatch.delenv("SHOP_URL")
    result = accounts(*arguments)
    assert result.exit_code == 0
    assert result.stderr == "not checked: shop.url: the environment variable SHOP_URL is not set\n"
    assert file.read_text() == FILE + '\n[shop]\nconnector = "sql"\nurl = "${SHOP_URL}"\n'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["add", "api", "--connector", "http"], "there is an account 'api' in accounts.toml already; remove it first"),
        (["add", "a", "--connector", "rabitmq"], "unknown connector 'rabitmq'; did you mean 'rabbitmq'?"),
        (["add", "a", "--connector", "files"], "connector 'files' has no accounts: its specs need none"),
        (["add", "a"], "--connector"),
        (["add", "a", "--connector", "rabbitmq", "pasword=hunter2"], "a.pasword: unknown key 'pasword'; did you mean"),
        (["add", "a", "--connector", "rabbitmq", "heartbeat=hunter2"], "account: a.heartbeat: "),
        (["add", "a", "--connector", "kafka"], "account: a: 'bootstrap_servers' is missing"),
        (["add", "a", "--connector", "http", "username=a", "username=b"], "username is given twice"),
        (
            ["add", "a", "--connector", "http", "username=-", "password=-"],
            "password: stdin is one value, which another",
        ),
        (["add", "a", "--connector", "http", "password"], "password is asked for at a terminal only; here, give it on"),
        (["add", "a", "--connector", "sql"], "url is asked for at a terminal only"),
        (["remove", "ap"], "there is no account 'ap' in accounts.toml; did you mean 'api'?"),
        (["test", "ap"], "there is no account 'ap' in accounts.toml; did you mean 'api'?"),
        (["test", "--spec", "gone.json"], "gone.json: there is no such file"),
        (["list", "--accounts", "gone.toml"], "gone.toml: there is no such file"),
        (
            ["remove", "web"],
            "account 'web' is not in accounts.toml, but in variables: environment variables PIPELINES_",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_mistakes_are_named_and_change_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setenv("PIPELINES_ACCOUNT_WEB__USERNAME", "me")
    result = accounts(*arguments)
    assert (result.exit_code, result.stdout, message in result.stderr) == (2, "", True), result.output
    assert "hunter2" not in result.stderr
    assert file.read_text() == FILE


def test_an_account_is_removed_and_the_rest_stays(file: Path) -> None:
    file.chmod(0o640)
    result = accounts("remove", "rabbit")
    assert (result.exit_code, result.output) == (0, "account rabbit is removed from accounts.toml\n")
    assert file.read_text() == "# Accounts of the shop.\n\n" + FILE[FILE.index("[old]") :]
    assert mode(file) == 0o640


def test_secrets_are_asked_for_without_echo(tmp_path: Path) -> None:
    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"this machine has no terminals: {error}")
    command = [sys.executable, "-m", "pipelines", "accounts", "add", "shop", "--connector", "sql", "password"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=ENVIRONMENT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        seen = b""
        for prompt, answer in ((b"password: ", b"hunter2\n"), (b"url: ", b"sqlite:///hunter2.db\n")):
            while not seen.endswith(prompt):
                assert select.select([ours], [], [], PATIENCE)[0], seen
                seen += os.read(ours, 1024)
            os.write(ours, answer)
        assert process.wait(PATIENCE) == 0
    seen += os.read(ours, 1024)
    os.close(ours)
    assert b"account shop is added" in seen
    assert b"hunter2" not in seen
    added = (tmp_path / "accounts.toml").read_text().removeprefix(FILE)
    assert added == '\n[shop]\nconnector = "sql"\npassword = "hunter2"\nurl = "sqlite:///hunter2.db"\n'


def test_accounts_are_tested_and_each_says_what_it_found(file: Path, tmp_path: Path, sqs: SqsServer) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
    aws = "".join(f'{name} = "{value}"\n' for name, value in sqs.account.items())
    file.write_text(
        f'[shop]\nconnector = "sql"\nurl = "sqlite:///{tmp_path}/shop.db"\n'
        f'[aws]\nconnector = "amazon-sqs"\n{aws}'
        '[typo]\nconnector = "amazon-sqs"\nregoin = "eu"\n'
        '[unset]\nconnector = "rabbitmq"\npassword = "${RABBIT_PASSWORD}"\n'
        '[old]\nregion = "eu-west-1"\n'
    )
    result = accounts("test")
    shop, own, typo, unset, old = result.stdout.splitlines()
    assert result.exit_code == 1
    assert shop.startswith("account shop (sql): ok, ")
    assert own.startswith("account aws (amazon-sqs): ok, ")
    assert typo == (
        "account typo (amazon-sqs): failed: accounts.toml:12: typo.regoin: unknown key 'regoin'; did you mean 'region'?"
    )
    assert unset.startswith("account unset (rabbitmq): failed: accounts.toml:15: unset.password: the environment vari")
    assert old.startswith(
        "account old (?): failed: nothing says which connector it is for; write 'connector = \"...\"'"
    )
    assert accounts("test", "shop", "aws", "shop").exit_code == 0
    assert len(accounts("test", "shop", "aws", "shop").stdout.splitlines()) == 2


def test_with_a_spec_its_trigger_and_sinks_are_tested_too(file: Path, tmp_path: Path, sqs: SqsServer) -> None:
    file.write_text("[aws]\n" + "".join(f'{name} = "{value}"\n' for name, value in sqs.account.items()))
    url = sqs.create_queue()
    spec = {
        "name": "orders",
        "trigger": {"connector": "amazon-sqs", "account": "aws", "queue_url": url},
        "sinks": [
            {"connector": "drop", "id": "nowhere"},
            {"connector": "amazon-sqs", "account": "aws", "queue_url": url},
        ],
        "dead_letters": {"connector": "files", "path": "dead.jsonl"},
    }
    (tmp_path / "spec.json").write_text(json.dumps(spec))
    result = accounts("test", "--spec", "spec.json")
    assert [line.partition(": ")[0] for line in result.stdout.splitlines()] == [
        "account aws (amazon-sqs)",
        "trigger (amazon-sqs / listen-queue)",
        "sink nowhere (drop / drop)",
        "sink amazon-sqs-send-message (amazon-sqs / send-message)",
        "dead_letters (files / append)",
    ]
    assert (result.exit_code, "failed" in result.stdout) == (0, False), result.stdout
    assert accounts("test", "aws").exit_code == 1
    assert accounts("test", "aws", "--spec", "spec.json").exit_code == 0


def test_what_cannot_be_reached_is_said_with_exit_code_1(file: Path) -> None:
    file.write_text('[shop]\nconnector = "sql"\nurl = "sqlite:////gone/shop.db"\n')
    result = accounts("test")
    assert result.exit_code == 1
    assert result.stdout.startswith("account shop (sql): failed: ")
