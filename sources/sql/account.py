"""The database account of a connector: which database to connect to, and as whom."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import orjson
from pydantic import Field, SecretStr, field_serializer, field_validator

from flowspec.connectors import Account
from flowspec.errors import FatalError, MissingDependencyError

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

__all__ = ["SqlAccount", "SqlAccountField"]

_URL = re.compile(r"(?P<dialect>\w+)(?P<driver>\+\w+)?://")
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"} | {
    name: f"{name}+pymysql" for name in ("mariadb", "mysql")
}
"""What a URL means that names no driver."""
_EXTRAS = {"postgresql+psycopg": "postgresql", "mariadb+pymysql": "mysql", "mysql+pymysql": "mysql"}
_NAMES = {"psycopg": "application_name", "pymysql": "program_name"}
"""The option of a driver that says who connects."""
_LIVENESS = {
    "psycopg": {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 60_000}
}
"""Options of a driver with which a server that has vanished is noticed within a minute, in place of hours."""
_PATIENCE = {
    "psycopg": ["connect_timeout"],
    "pymysql": ["connect_timeout", "read_timeout", "write_timeout"],
    "pysqlite": ["timeout"],
}
"""The options of a driver that say for how many seconds it waits for its server, or for a lock."""
_EXAMPLES = "postgresql://db.example.com/shop, mysql://db.example.com/shop or sqlite:///shop.db"


class SqlAccount(Account):
    """A database: PostgreSQL, MariaDB, MySQL, SQLite, or any other for which a dialect of SQLAlchemy is installed.

    The URL may have credentials in it, so it is a secret as a whole: logs and errors name dialect, host and database.
    Sessions of MariaDB and MySQL are in UTC, and in strict mode: a value that does not fit is an error.
    """

    url: Annotated[
        SecretStr,
        Field(
            description="URL of the database, as SQLAlchemy has it: dialect://user@host:port/database, with options of "
            "the driver behind a '?'. postgresql is psycopg, and mysql and mariadb are PyMySQL, unless another driver "
            "is named (postgresql+psycopg2). An SQLite file is sqlite:///relative/path or sqlite:////absolute/path.",
            examples=["postgresql://orders@db.example.com:5432/shop?sslmode=verify-full", "sqlite:///shop.db"],
        ),
    ]
    username: Annotated[
        str | None, Field(description="User name; by default that of the URL.", examples=["orders"])
    ] = None
    password: Annotated[
        SecretStr | None,
        Field(description="Password; by default that of the URL.", examples=["${DATABASE_PASSWORD}"]),
    ] = None
    options: Annotated[
        dict[str, Any],
        Field(
            repr=False,
            description="Arguments of the driver's connect(), beside those of the URL.",
            examples=[{"connect_timeout": 5}],
        ),
    ] = Field(default_factory=dict)

    @field_serializer("options", when_used="json")
    def _masked(self, options: dict[str, Any]) -> dict[str, str]:
        """Some of them are passwords."""
        return dict.fromkeys(options, "**********")

    @field_validator("url")
    @classmethod
    def _is_a_url(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        begins = _URL.match(url)
        if begins is None:
            msg = f"a URL is like {_EXAMPLES}"
            raise ValueError(msg)
        if begins["dialect"] == "sqlite" and url[begins.end() :].partition("?")[0] in ("", "/", "/:memory:"):
            msg = "name a file, like sqlite:///shop.db: a database in memory is gone with its connection"
            raise ValueError(msg)
        return value

    @property
    def address(self) -> str:
        """The URL with nothing that may be secret, for logs, errors and the status."""
        url = self._resolved()
        host = f"[{url.host}]" if url.host and ":" in url.host else url.host or ""
        port = f":{url.port}" if url.port else ""
        return f"{url.get_backend_name()}://{host}{port}/{url.database or ''}"

    def check(self) -> str:
        """Connect, and say which database answers, of which version."""
        try:
            from sources.sql.checking import checking, found
        except ImportError:
            raise MissingDependencyError(connector="sql", extra="sql") from None
        with checking(self) as connection:
            return found(self, connection)

    def engine(self, name: str | None = None, *, patience: int | None = None) -> Engine:
        """An engine that has not connected yet, and that keeps no connections: whoever needs one holds it.

        Args:
            name: What an operator sees in the database's list of connections, where its driver has that.
            patience: Seconds to wait for the server at most, whatever the account's options are; where the driver can
                be told so.

        Raises:
            MissingDependencyError: SQLAlchemy or the driver is not installed, and an extra has it.
            FatalError: the URL cannot be used, or another driver is not installed.
        """
        url = self._resolved()
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        driver = url.drivername.partition("+")[2]
        ours: dict[str, Any] = dict(_LIVENESS.get(driver, {}))
        if name is not None and driver in _NAMES:
            ours[_NAMES[driver]] = name
        options = {option: value for option, value in ours.items() if option not in url.query} | self.options
        if patience is not None:
            options |= dict.fromkeys(_PATIENCE.get(driver or url.get_driver_name(), ()), patience)
        try:
            engine = create_engine(
                url, poolclass=NullPool, connect_args=options, hide_parameters=True, **_reading_json(url)
            )
        except NoSuchModuleError:
            msg = (
                f"url: SQLAlchemy has no dialect {url.drivername!r}; check its name, or install the package that has it"
            )
            raise FatalError(msg) from None
        except ArgumentError:
            msg = f"url: {url.get_backend_name()} does not take a URL, or credentials, of this form"
            if url.get_backend_name() == "sqlite":
                msg = "url: SQLite has no host, username or password; leave them out of URL and account"
            raise FatalError(msg) from None
        except ImportError as error:
            if extra := _EXTRAS.get(url.drivername):
                raise MissingDependencyError(connector="sql", extra=extra) from None
            msg = f"url: the driver of {url.drivername!r} is not installed: pip install {error.name}"
            raise FatalError(msg) from None
        if engine.dialect.name in ("mariadb", "mysql"):
            event.listen(engine, "connect", _utc_and_strict)
        if engine.dialect.name == "sqlite":
            event.listen(engine, "do_connect", _must_be_there)
        return engine

    def _resolved(self) -> URL:
        """The URL with driver and credentials; no error quotes any of it, for it may be the password."""
        text = self.url.get_secret_value()
        begins = _URL.match(text)
        assert begins is not None  # noqa: S101 - validated
        driver = begins["dialect"] + (begins["driver"] or "")
        driver = _DRIVERS.get(driver, driver)
        try:
            from sqlalchemy.engine import make_url
            from sqlalchemy.exc import ArgumentError
        except ImportError:
            raise MissingDependencyError(connector="sql", extra=_EXTRAS.get(driver, "sql")) from None
        try:
            url = make_url(text)
        except (ArgumentError, ValueError):
            url = None
        if url is None or (url.host and "@" in f"{url.host}{url.database}"):
            msg = (
                f"url: it cannot be taken apart; a URL is like {_EXAMPLES}. In a password '@', ':', '/' and '%' are "
                "written as %40, %3A, %2F and %25, or give it as 'password'"
            )
            raise FatalError(msg)
        url = url.set(drivername=driver)
        if self.username is not None:
            url = url.set(username=self.username)
        if self.password is not None:
            url = url.set(password=self.password.get_secret_value())
        return url


SqlAccountField: TypeAlias = Annotated[
    SqlAccount | str,
    Field(description="Name of an account, or the account itself.", examples=["shop"]),
]
"""The `account` of a trigger or sink."""


def _reading_json(url: URL) -> dict[str, Any]:
    """How the columns of a database are read that has them as JSON; others have a text."""
    # Python's own reader makes whole numbers of any length, which no writer of JSON takes.
    return {"json_deserializer": orjson.loads} if url.get_backend_name() == "postgresql" else {}


def _utc_and_strict(connection: Any, _: Any) -> None:
    # A TIMESTAMP comes without its zone, in that of the session, where an hour of autumn may come twice; and what is
    # too long would be cut off silently.
    with connection.cursor() as cursor:
        cursor.execute(
            "SET time_zone = '+00:00', sql_mode = CONCAT_WS(',', NULLIF(@@sql_mode, ''), 'STRICT_ALL_TABLES')"
        )


def _must_be_there(dialect: Any, _: Any, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    # SQLite would make an empty file, in which nothing of what the flow is about could be.
    if not options.get("uri") and not Path(arguments[0]).exists():
        msg = "unable to open database file: there is no such file"
        raise dialect.loaded_dbapi.OperationalError(msg)
