"""`pipelines accounts`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipelines.arguments import ACCOUNTS

if TYPE_CHECKING:
    from flowspec.loading import Accounts
    from flowspec.spec import FlowSpec

__all__ = ["command"]


@click.group("accounts")
def command() -> None:
    """Accounts: connection and security parameters, which specs have by their names.

    They are tables of a file: --accounts, or else the one that the variable PIPELINES_ACCOUNTS names, or accounts.toml
    in this directory. Variables like PIPELINES_ACCOUNT_RABBIT__PASSWORD add to it, or take the place of what it has.
    """


@command.command("list")
@ACCOUNTS
def list_accounts(accounts: Path | None) -> None:
    """List the accounts with their fields, and where each comes from; secrets are masked."""
    from pipelines.accounts.listing import listed

    found = _found(accounts)
    for name in found.names():
        click.echo("\n".join(listed(found, name)))
    if not found.names():
        click.echo(f"there are no accounts in {found.source}", err=True)


@command.command("add")
@click.argument("name")
@click.argument("fields", metavar="[FIELD=VALUE]...", nargs=-1)
@click.option("--connector", required=True, help="What the account is for; `pipelines connectors` lists them.")
@ACCOUNTS
def add(*, name: str, fields: tuple[str, ...], connector: str, accounts: Path | None) -> None:
    """Add the account NAME to the file, which nobody but its owner can read then.

    A secret does not belong on a command line: `password` alone asks for it, `password=-` reads it from stdin, and
    `password='${PASSWORD}'` or `password='${file:/run/secrets/x}'` leaves it where it is. Secrets that an account
    cannot do without are asked for. A field in a field has a dot: `oauth2.client_id=me`, `headers.X-Tenant=shop`.
    """
    from flowspec.errors import FlowError
    from flowspec.loading import Accounts
    from flowspec.loading.files import read_text
    from pipelines.accounts import adding, editing
    from pipelines.accounts.models import model_for

    file, found = _file(accounts), _found(accounts, may_be_missing=True)
    if name in found.tables:
        msg = f"there is an account {name!r} in {file} already; remove it first, or edit the file"
        raise FlowError(msg)
    model = model_for(connector)
    values = adding.given_fields(model, fields, _asked, _read)
    values.pop("connector", None)
    meant = Accounts("account", {name: values}, {}, os.environ, file)
    for each in adding.unset_variables(meant, name, connector, model):
        click.echo(f"not checked: {each}", err=True)
    text = read_text(file) if file.exists() else ""
    editing.replace_text(file, editing.with_table(text, name, {"connector": connector, **values}), editing.PRIVATE)
    click.echo(f"account {name} is added to {file}")


@command.command("remove")
@click.argument("name")
@ACCOUNTS
def remove(name: str, accounts: Path | None) -> None:
    """Remove the account NAME from the file, and the comment right above it."""
    from flowspec.errors import FlowError
    from flowspec.loading.files import read_text
    from pipelines.accounts import editing

    found = _found(accounts)
    _need(found, [name])
    if found.file is None or name not in found.tables:
        msg = f"account {name!r} is not in {found.source}, but in variables: {found.place((name,))}; unset them"
        raise FlowError(msg)
    text = editing.without_table(read_text(found.file), name)
    editing.replace_text(found.file, text, editing.mode_of(found.file))
    click.echo(f"account {name} is removed from {found.file}")


@command.command("test")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "--spec", "spec_file", type=click.Path(path_type=Path), help="A flow whose trigger and sinks are checked as well."
)
@ACCOUNTS
def test(names: tuple[str, ...], spec_file: Path | None, accounts: Path | None) -> None:
    """Connect with each account NAME, and say what is there or what is wrong; nothing is changed.

    Without a NAME these are all, or those that --spec uses. The exit code is 0 only if all is right, and 1 otherwise.
    """
    from pipelines.accounts.checking import run_checks
    from pipelines.accounts.checks import checks_of_accounts, checks_of_flow, used_accounts

    found, spec = _found(accounts, spec_file), _loaded(spec_file, accounts)
    used = {} if spec is None else used_accounts(spec)
    chosen = list(dict.fromkeys(names)) or list(used if spec is not None else found.names())
    _need(found, chosen)
    checks = [*checks_of_accounts(found, chosen, used), *([] if spec is None else checks_of_flow(spec))]
    results = run_checks(checks)
    for result in results:
        if result.is_ok:
            click.echo(f"{result.name}: {click.style('ok', fg='green')}, {result.said or 'nothing to check'}")
        else:
            said = result.said.replace("\n", "\n    ")
            click.echo(f"{result.name}: {click.style('failed', fg='red')}: {said}")
    if not results:
        click.echo(f"there are no accounts in {found.source}", err=True)
    sys.exit(0 if all(result.is_ok for result in results) else 1)


def _file(accounts: Path | None) -> Path:
    from flowspec.loading.accounts import FILE_NAME, accounts_file

    return accounts_file(accounts, None, os.environ) or Path(FILE_NAME)


def _found(accounts: Path | None, spec: Path | None = None, *, may_be_missing: bool = False) -> Accounts:
    from flowspec.loading import Accounts, find_accounts

    if may_be_missing and not _file(accounts).exists():
        return Accounts(str(_file(accounts)), {}, {}, os.environ)
    return find_accounts(accounts, None if spec is None else spec.parent, os.environ)


def _loaded(spec: Path | None, accounts: Path | None) -> FlowSpec | None:
    from flowspec.loading import load

    return None if spec is None else load(spec, accounts)


def _need(found: Accounts, names: list[str]) -> None:
    """See that there are such accounts."""
    from flowspec.errors import FlowError
    from flowspec.loading.accounts import UnknownAccountError

    for name in names:
        try:
            found.written(name)
        except UnknownAccountError as error:
            msg = f"{error}; {error.hint}"
            raise FlowError(msg) from error


def _asked(field: str) -> str:
    if not sys.stdin.isatty():
        msg = f"{field} is asked for at a terminal only; here, give it on stdin: {field}=-"
        raise click.UsageError(msg)
    value: str = click.prompt(field, hide_input=True, err=True)
    return value


def _read() -> str:
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")
