"""What databases really answer, and what a flow makes of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DataError, IntegrityError, OperationalError, ProgrammingError

from flowspec.errors import FatalError, FlowError, RecordError, TransientError
from sources.sql.account import SqlAccount
from sources.sql.errors import classify
from tests.servers.database import Database, DatabaseServer
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresServer
from tests.servers.process import server_port
from tests.servers.sqlite import SqliteFile

AT = "database"


def connect(database: Database, **fields: Any) -> Connection:
    return SqlAccount.model_validate({**database.account, **fields}).engine().connect()


def meaning_of(action: Callable[[], object]) -> FlowError:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - drivers raise what they like
        action()
    return classify(raised.value, AT)


def run(connection: Connection, *statements: str) -> None:
    for statement in statements:
        connection.exec_driver_sql(statement)


def meaning_of_statements(database: Database, *statements: str, **fields: Any) -> FlowError:
    """Of the error that the last of them ends with."""
    with closing(connect(database, **fields)) as connection:
        run(connection, *statements[:-1])
        return meaning_of(lambda: run(connection, statements[-1]))


def said(error: FlowError, kind: type[FlowError], *texts: str) -> None:
    assert type(error) is kind, repr(error)
    for text in texts:
        assert text in str(error)
    assert "\n" not in str(error)
    if kind is not RecordError:
        assert str(error).startswith(f"{AT}: ")


def test_a_row_that_is_refused_is_about_its_record(database: Database) -> None:
    table = database.create_table("id integer PRIMARY KEY, name varchar(5) NOT NULL, CHECK (id < 100)")
    insert = f"INSERT INTO {table} VALUES "
    for bad in ("(1, 'b')", "(2, NULL)", "(100, 'c')"):
        error = meaning_of_statements(database, insert + "(1, 'a')", insert + bad)
        said(error, RecordError, "the database refuses it: ")


def test_a_value_that_does_not_fit_is_about_its_record(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server in (postgresql, mariadb):
        table = server.create_table("id smallint, name varchar(5), at timestamp NULL")
        for bad in ("(100000, '', NULL)", "(1, 'too long', NULL)", "('x', '', NULL)", "(1, '', 'yesterday noon')"):
            error = meaning_of_statements(server, f"INSERT INTO {table} VALUES {bad}")
            said(error, RecordError, "the database refuses it: ")


def test_what_a_trigger_raises_is_about_the_record(database: Database) -> None:
    table = database.create_table("id integer")
    if isinstance(database, PostgresServer):
        database.execute(
            f"CREATE FUNCTION {table}_f() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'not today'; END $$"
        )
        body = f"FOR EACH ROW EXECUTE FUNCTION {table}_f()"
    elif isinstance(database, MariadbServer):
        body = "FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'"
    else:
        body = "BEGIN SELECT RAISE(ABORT, 'not today'); END"
    database.execute(f"CREATE TRIGGER {table}_t BEFORE INSERT ON {table} {body}")

    said(meaning_of_statements(database, f"INSERT INTO {table} VALUES (1)"), RecordError, "not today")


def test_what_is_wrong_with_a_statement_stays_wrong(database: Database) -> None:
    table = database.create_table("id integer")
    said(
        meaning_of_statements(database, "SELECT * FROM no_such_table"), FatalError, "no_such_table", "create the table"
    )
    said(meaning_of_statements(database, f"SELECT nope FROM {table}"), FatalError, "nope", "name of the column")
    said(meaning_of_statements(database, "SELEKT 1"), FatalError, "syntax")


def test_who_is_not_let_in_stays_outside(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server in (postgresql, mariadb):
        for fields in ({"password": "s3cr3t"}, {"username": "nobody"}):
            error = meaning_of(lambda server=server, fields=fields: connect(server, **fields))  # type: ignore[misc]
            said(error, FatalError, "check the account's username and password")
            assert "s3cr3t" not in str(error)
        url = server.account["url"].rpartition("/")[0] + "/missing"
        said(meaning_of(lambda: connect(server, url=url)), FatalError, "missing", "check the database")  # noqa: B023


def test_a_user_who_may_not_is_told_so(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server, create in ((postgresql, "PASSWORD"), (mariadb, "IDENTIFIED BY")):
        table = server.create_table("id integer")
        server.execute(f"CREATE USER {table}_user {create} 'pw'")
        if server is mariadb:
            server.execute(f"GRANT SELECT ON tests.{table} TO {table}_user")
        user = {"username": f"{table}_user", "password": "pw"}
        error = meaning_of_statements(server, f"INSERT INTO {table} VALUES (1)", **user)
        said(error, FatalError, "denied", "grant the account's user")


def test_a_row_that_a_policy_forbids_is_about_its_record(postgresql: PostgresServer) -> None:
    table = postgresql.create_table("id integer")
    for statement in (
        f"CREATE USER {table}_user PASSWORD 'pw'",
        f"GRANT ALL ON {table} TO {table}_user",
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY small ON {table} USING (id < 10)",
    ):
        postgresql.execute(statement)
    error = meaning_of_statements(
        postgresql, f"INSERT INTO {table} VALUES (11)", username=f"{table}_user", password="pw"
    )
    said(error, RecordError, "row-level security")


@pytest.mark.parametrize("dialect", ["postgresql", "mariadb", "mysql"])
@pytest.mark.parametrize("host", [f"127.0.0.1:{server_port()}", "no-such-host.invalid"], ids=["port", "host"])
def test_a_server_that_is_not_there_may_come(dialect: str, host: str) -> None:
    account = SqlAccount.model_validate({"url": f"{dialect}://{host}/shop"})
    said(meaning_of(account.engine().connect), TransientError)


def test_a_connection_that_is_lost_is_made_again(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    kills = {
        postgresql: ("SELECT pg_backend_pid()", "SELECT pg_terminate_backend({})"),
        mariadb: ("SELECT connection_id()", "KILL {}"),
    }
    for server, (who, kill) in kills.items():
        with closing(connect(server)) as connection:
            process = connection.exec_driver_sql(who).scalar_one()
            server.execute(kill.format(process))
            said(meaning_of(lambda: run(connection, "SELECT 1")), TransientError)
        with closing(connect(server, url=server.proxied_account["url"])) as connection:
            run(connection, "SELECT 1")
            server.proxy.cut()
            said(meaning_of(lambda: run(connection, "SELECT 1")), TransientError)


def test_a_statement_that_takes_too_long_is_made_again(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server, limit, sleep in (
        (postgresql, "SET statement_timeout = 1", "SELECT pg_sleep(60)"),
        (mariadb, "SET max_statement_time = 0.001", "SELECT sleep(60) FROM information_schema.tables"),
    ):
        said(meaning_of_statements(server, limit, sleep), TransientError)


def test_a_lock_is_waited_for(postgresql: PostgresServer, mariadb: MariadbServer) -> None:
    for server, limit in (
        (postgresql, "SET lock_timeout = 1"),
        (mariadb, "SET innodb_lock_wait_timeout = 0"),
    ):
        table = server.create_table("id integer PRIMARY KEY")
        server.execute(f"INSERT INTO {table} VALUES (1)")
        update = f"UPDATE {table} SET id = id + 10"
        with closing(connect(server)) as other:
            run(other, update)
            said(meaning_of_statements(server, limit, update), TransientError)


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_of_a_deadlock_one_is_tried_again(name: str, request: pytest.FixtureRequest) -> None:
    server: DatabaseServer = request.getfixturevalue(name)
    table = server.create_table("id integer PRIMARY KEY, n integer")
    server.execute(f"INSERT INTO {table} VALUES (1, 0), (2, 0)")
    errors: list[Exception] = []
    both = threading.Barrier(2)

    def work(rows: Sequence[int]) -> None:
        with closing(connect(server)) as connection:
            run(connection, f"UPDATE {table} SET n = 1 WHERE id = {rows[0]}")
            both.wait(60)
            try:
                run(connection, f"UPDATE {table} SET n = 1 WHERE id = {rows[1]}")
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work, args=(rows,)) for rows in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (error,) = errors
    said(classify(error, AT), TransientError, "eadlock")


def test_a_serialization_failure_is_tried_again(postgresql: PostgresServer) -> None:
    table = postgresql.create_table("id integer")
    postgresql.execute(f"INSERT INTO {table} VALUES (1)")
    with closing(connect(postgresql)) as connection:
        run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", f"SELECT * FROM {table}")
        postgresql.execute(f"UPDATE {table} SET id = 2")
        said(meaning_of(lambda: run(connection, f"UPDATE {table} SET id = 3")), TransientError, "serialize")


def test_a_server_that_became_a_replica_may_be_the_primary_again(
    postgresql: PostgresServer, own_mariadb: MariadbServer
) -> None:
    table = postgresql.create_table("id integer")
    insert = f"INSERT INTO {table} VALUES (1)"
    said(meaning_of_statements(postgresql, "SET TRANSACTION READ ONLY", insert), TransientError, "read-only")

    table = own_mariadb.create_table("id integer")
    own_mariadb.execute("CREATE USER writer IDENTIFIED BY 'pw'")
    own_mariadb.execute("GRANT INSERT ON tests.* TO writer")
    own_mariadb.execute("SET GLOBAL read_only = 1")
    error = meaning_of_statements(own_mariadb, f"INSERT INTO {table} VALUES (1)", username="writer", password="pw")
    said(error, TransientError, "read-only")


def test_an_option_that_the_driver_does_not_know_is_no_matter_of_waiting(database: Database) -> None:
    database.create_table("id bigint")
    error = meaning_of(lambda: connect(database, options={"no_such_option": 1}))
    assert not isinstance(error, TransientError)
    assert "no_such_option" in str(error)


def test_tls_that_the_server_does_not_have(
    postgresql: PostgresServer, mariadb: MariadbServer, certificates: Path
) -> None:
    wants = {
        postgresql: {"sslmode": "require"},
        mariadb: {"ssl_ca": str(certificates / "ca.pem"), "ssl_verify_cert": True},
    }
    for server, options in wants.items():
        error = meaning_of(lambda: connect(server, options=options))  # noqa: B023
        said(error, FatalError, "SSL", "check the options for TLS")


def test_a_sqlite_file_that_cannot_be_used(tmp_path: Path, sqlite: SqliteFile) -> None:
    nowhere = SqliteFile(tmp_path / "missing" / "file")
    said(meaning_of(lambda: connect(nowhere)), FatalError, "a flow makes no database")

    other = SqliteFile(tmp_path / "other")
    other.path.write_text("something else\n" * 100)
    said(meaning_of_statements(other, "SELECT * FROM sqlite_master"), FatalError, "not a database")

    table = sqlite.create_table("id integer")
    error = meaning_of_statements(
        sqlite, f"INSERT INTO {table} VALUES (1)", url=f"sqlite:///file:{sqlite.path}?mode=ro&uri=true"
    )
    said(error, FatalError, "readonly", "let the user of this process write")


def test_a_sqlite_file_that_is_locked_is_waited_for(sqlite: SqliteFile) -> None:
    table = sqlite.create_table("id integer")
    with closing(sqlite.connect(autocommit=True)) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = meaning_of_statements(sqlite, f"INSERT INTO {table} VALUES (1)", options={"timeout": 0.01})
    said(error, TransientError, "database is locked")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (IntegrityError("INSERT", {}, Exception("dialect's own")), RecordError),
        (DataError("INSERT", {}, Exception("dialect's own")), RecordError),
        (OperationalError("INSERT", {}, Exception("dialect's own")), TransientError),
        (ProgrammingError("INSERT", {}, Exception("dialect's own")), FatalError),
        (OverflowError("dialect's own"), RecordError),
        (ConnectionResetError("dialect's own"), TransientError),
        (FileNotFoundError("dialect's own"), FatalError),
    ],
)
def test_of_other_databases_the_kind_of_error_is_known(error: Exception, kind: type[FlowError]) -> None:
    said(classify(error, AT), kind, "dialect's own")
