"""Accounts: connection and security parameters, kept in a file of their own beside the specs, or in the environment.

Each table of `accounts.toml` is an account:

    [aws]
    connector = "amazon-sqs"
    region = "eu-west-1"
    secret_access_key = "${AWS_SECRET}"

`connector` may be left out; where it is there, no other connector can use the account. A variable of the environment
(see `flowspec.loading.environment`) takes the place of what the file has.
"""

from __future__ import annotations

import logging
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from flowspec.connectors import Account, Action, Trigger
from flowspec.expressions.errors import nearest
from flowspec.loading.document import Place, texts, with_value
from flowspec.loading.environment import ACCOUNTS_FILE, account_variables, prefix_of, unnamed_accounts
from flowspec.loading.files import read_text
from flowspec.loading.messages import described
from flowspec.loading.problems import Path, Problem, SpecError, show_path
from flowspec.loading.secret_fields import is_secret
from flowspec.loading.variables import VariableError, fill_in_text
from flowspec.lookups import Asked
from flowspec.registry import account_model

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["FILE_NAME", "Accounts", "UnknownAccountError", "accounts_file", "find_accounts", "parse_accounts"]

FILE_NAME = "accounts.toml"
_TABLE = re.compile(r"""^\s*\[\s*["']?([^\]"']+?)["']?\s*\]""")
_KEY = re.compile(r"""^\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")
_ERROR_PLACE = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)")
_OTHERS = stat.S_IRGRP | stat.S_IROTH

_log = logging.getLogger(__name__)


class UnknownAccountError(LookupError):
    """There is no account of that name; `hint` says what to do about it."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


@dataclass(frozen=True)
class Accounts:
    """The accounts of one file and of the environment, each made when it is asked for."""

    source: str
    """The name of the file, or where it was looked for."""
    tables: Mapping[str, dict[str, Any]]
    """Those of the file, as they are written."""
    lines: Mapping[Path, int]
    environ: Mapping[str, str]
    file: FilePath | None = None

    def names(self) -> list[str]:
        """All of them: those of the file in its order, then those that only the environment has."""
        return [*self.tables, *unnamed_accounts(self.environ, self.tables)]

    def written(self, name: str) -> dict[str, Any]:
        """The fields of an account as they are written, secrets in clear, and its `connector` among them.

        Raises:
            UnknownAccountError: there is none of that name.
        """
        if name not in self.tables and not account_variables(name, self.environ):
            near = nearest(name, self.names())
            add = f"add a table [{name}] to it, or set {prefix_of(name)}FIELD in the environment"
            what = f"there is no account {name!r} in {self.source}"
            raise UnknownAccountError(what, f"did you mean {near!r}?" if near else add)
        return self._with_variables(name, self.tables.get(name, {}))

    def get(self, name: str, part: type[Trigger] | type[Action] | type[Asked]) -> Account:
        """The account called `name`, for a trigger, action, lookup or call.

        Raises:
            SpecError: it is there, but is not an account of the connector.
            UnknownAccountError: there is none of that name.
        """
        return self.made(name, part.model_fields["connector"].default, account_model(part) or Account)

    def made(self, name: str, connector: str, model: type[Account]) -> Account:
        """The account called `name`, for a connector whose accounts are a `model`.

        Raises:
            SpecError: it is there, but is not an account of the connector.
            UnknownAccountError: there is none of that name.
        """
        owner = self.written(name).get("connector", connector)
        if owner != connector:
            message = f"the account is for connector {owner!r}, and used for {connector!r}"
            raise SpecError([self.problem((name, "connector"), message)])
        values, problems = self._filled(name)
        values = {key: value for key, value in self._with_variables(name, values).items() if key != "connector"}
        try:
            account = model.model_validate(values)
        except ValidationError as error:
            reported = {problem.path for problem in problems}
            found = described(error, values, model, _never_shown)
            problems += [
                self.problem((name, *each.path), each.message, each.hint)
                for each in found
                if show_path((name, *each.path)) not in reported
            ]
        if problems:
            raise SpecError(problems)
        return account.named(name)

    def problem(self, path: Path, message: str, hint: str | None = None) -> Problem:
        """A problem with the account or field at `path`, which begins with the account's name."""
        source, line = self._place(path)
        return Problem(source, show_path(path), line, 1, message, hint)

    def place(self, path: Path) -> str:
        """Where the account or field at `path` comes from, for people."""
        source, line = self._place(path)
        return f"{source}:{line}" if line else source

    def warn_if_readable(self, used: Iterable[tuple[str, type[Account]]]) -> None:
        """Log a warning if everybody can read secrets of `used` accounts in the file."""
        try:
            is_readable = self.file is not None and self.file.stat().st_mode & _OTHERS
        except OSError:
            return
        secrets = [path for name, model in used for path in self._written_secrets(name, model)] if is_readable else []
        if secrets:
            _log.warning(
                "%s has secrets in it (%s) and can be read by others than its owner: chmod 600 %s",
                *(self.source, ", ".join(map(show_path, sorted(secrets, key=show_path))), self.source),
            )

    def _written_secrets(self, name: str, model: type[Account]) -> Iterator[Path]:
        taken = account_variables(name, self.environ)
        for path, text in texts(self.tables.get(name, {})):
            if path == ("connector",) or path in taken or "${" in text or _is_plain_url(text):
                continue
            if is_secret(model, path):
                yield (name, *path)

    def _filled(self, name: str) -> tuple[dict[str, Any], list[Problem]]:
        """What the file has of an account, with its variables in place."""
        problems = []
        filled = dict(self.tables.get(name, {}))
        taken = account_variables(name, self.environ)
        folder = FilePath() if self.file is None else self.file.parent
        for path, text in texts(filled):
            if path in taken:
                continue
            try:
                filled = with_value(filled, path, fill_in_text(text, self.environ, folder))
            except VariableError as error:
                problems.append(self.problem((name, *path), str(error), error.hint))
        return filled, problems

    def _with_variables(self, name: str, table: Mapping[str, Any]) -> dict[str, Any]:
        values = dict(table)
        for path, variable in account_variables(name, self.environ).items():
            values = with_value(values, path, self.environ[variable])
        return values

    def _place(self, path: Path) -> tuple[str, int]:
        name = str(path[0])
        variable = account_variables(name, self.environ).get(path[1:])
        if variable is not None:
            return f"environment variable {variable}", 0
        if name not in self.tables:
            return f"environment variables {prefix_of(name)}*", 0
        return self.source, self.lines.get(path[:2]) or self.lines.get(path[:1]) or 0


def accounts_file(file: FilePath | None, folder: FilePath | None, environ: Mapping[str, str]) -> FilePath | None:
    """Where the accounts are.

    That is `file`, or else the file that `PIPELINES_ACCOUNTS` names, or else `accounts.toml` in `folder` or in the
    current directory, if it is there.
    """
    if file is not None:
        return file
    if named := environ.get(ACCOUNTS_FILE):
        return FilePath(named)
    folders = [FilePath()] if folder is None else [folder, FilePath()]
    return next((each / FILE_NAME for each in folders if (each / FILE_NAME).is_file()), None)


def find_accounts(file: FilePath | None, folder: FilePath | None, environ: Mapping[str, str]) -> Accounts:
    """The accounts of `accounts_file(...)`, and those of the environment.

    Raises:
        SpecError: the file cannot be read, or is not TOML.
    """
    found = accounts_file(file, folder, environ)
    if found is None:
        return Accounts(f"{FILE_NAME}, which is neither beside the spec nor in this directory", {}, {}, environ)
    return parse_accounts(read_text(found), found, environ)


def parse_accounts(text: str, file: FilePath, environ: Mapping[str, str]) -> Accounts:
    """The accounts that `text` has, which is what is in `file`.

    Raises:
        SpecError: it is not TOML.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = _ERROR_PLACE.search(str(error))
        place = Place(*map(int, where.groups())) if where and where[1] else Place(text.count("\n") + 1, 1)
        message = f"not valid TOML: {_ERROR_PLACE.sub('', str(error))}"
        raise SpecError([Problem(str(file), "", *place, message)]) from None
    accounts = {name: table for name, table in tables.items() if isinstance(table, dict)}
    return Accounts(str(file), accounts, dict(_lines(text)), environ, file)


def _never_shown(_: Path) -> bool:
    """Parameters of accounts are secret, or may be."""
    return True


def _lines(text: str) -> Iterator[tuple[Path, int]]:
    """Where the tables and their keys are, as far as that can be seen line by line."""
    table = ""
    for number, line in enumerate(text.split("\n"), 1):
        if match := _TABLE.match(line):
            table = match[1]
            yield (table,), number
        elif match := _KEY.match(line):
            yield (table, match[1]), number


def _is_plain_url(text: str) -> bool:
    """Whether it is a URL without a password, which may have one elsewhere."""
    try:
        url = urlsplit(text)
    except ValueError:
        return False
    return bool(url.scheme and url.netloc) and url.password is None and not url.query
