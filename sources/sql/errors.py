"""What an error of SQLAlchemy, or of the database behind it, means for a flow."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from typing import TypeAlias

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    NoSuchTableError,
    OperationalError,
    StatementError,
)

from flowspec.errors import FatalError, RecordError, TransientError

__all__ = ["classify"]

_Meaning: TypeAlias = tuple[type[TransientError | FatalError | RecordError], str | None]
"""What it is, and what to do about it."""

_PASSING = TransientError
_DATA = RecordError
_FATAL = FatalError

_GRANT = "grant the account's user what the statement needs"
_TABLE = "create the table, or check its name, its schema and the database of the account's url"
_COLUMN = "check the name of the column"
_LOGIN = "check the account's username and password, and where the user may connect from"
_DATABASE = "check the database in the account's url"
_UNIQUE = "create a unique index of exactly the columns of 'key'"
_TLS = "check the options for TLS, and that the url has the host name that is in the server's certificate"

_STATES: Mapping[str, type[TransientError | RecordError]] = {
    # Classes: connection, transaction rollback, resources, operator intervention, system error.
    "08": _PASSING, "40": _PASSING, "53": _PASSING, "57": _PASSING, "58": _PASSING,
    # A server that has become a replica; a lock that is not available; an object in use.
    "25006": _PASSING, "55P03": _PASSING, "55006": _PASSING,
    # Classes: cardinality, data, constraints, triggered change, routines, check option, limits, raised by a function.
    "21": _DATA, "22": _DATA, "23": _DATA, "27": _DATA, "2F": _DATA, "38": _DATA, "39": _DATA, "44": _DATA,
    "54": _DATA, "P0": _DATA,
    # The type of a value is not that of its column.
    "42804": _DATA, "42846": _DATA,
}  # fmt: skip
"""SQLSTATEs and their classes; all others are fatal. Source: "PostgreSQL Error Codes" in its documentation."""
_STATE_HINTS = {
    "28": _LOGIN, "3D000": _DATABASE, "3F000": _TABLE, "42501": _GRANT, "42P01": _TABLE, "42703": _COLUMN,
    "42P10": _UNIQUE,
}  # fmt: skip

_PASSING_NUMBERS = frozenset({
    1021, 1037, 1038, 1040, 1041, 1047, 1053, 1077, 1078, 1079, 1080, 1114, 1129, 1152, 1158, 1159, 1160, 1161, 1180,
    1203, 1205, 1213, 1226, 1290, 1317, 1412, 1614, 1637, 1836, 1927, 1969, 2002, 2003, 2006, 2012, 2013, 2014, 2055,
    3024, 3058, 3572, 4031,
})  # fmt: skip
"""Numbers of MariaDB and MySQL that are about connections, locks, resources, or a server that starts, ends or has
become a replica. Source: "MariaDB Error Code Reference" and "Server Error Message Reference" of MySQL."""
_DATA_NUMBERS = frozenset({
    1048, 1062, 1118, 1138, 1153, 1169, 1171, 1216, 1217, 1264, 1265, 1292, 1364, 1365, 1366, 1367, 1369, 1406, 1411,
    1416, 1441, 1442, 1451, 1452, 1526, 1557, 1586, 1644, 1690, 1748, 1761, 1762, 1906, 3140, 3141, 3156, 3819, 4025,
})  # fmt: skip
"""Those about a value: its constraint, range, length or type, what a trigger raises. All others are fatal."""
_NUMBER_HINTS = {
    1044: _GRANT, 1045: _LOGIN, 1049: _DATABASE, 1054: _COLUMN, 1142: _GRANT, 1143: _GRANT, 1146: _TABLE, 1227: _GRANT,
    1698: _LOGIN, 2026: _TLS,
}  # fmt: skip

_PASSING_SQLITE = re.compile(r"is locked|disk I/O error|disk is full|^interrupted|locking protocol|schema has changed")
_DATA_SQLITE = re.compile(r"binding parameter|is not supported|malformed JSON|integer overflow|too big")
_SQLITE_HINTS = {
    "unable to open": "check the path in the account's url; a flow makes no database",
    "no such table": _TABLE,
    "no such column|has no column named": _COLUMN,
    "ON CONFLICT clause does not match": _UNIQUE,
    "readonly": "let the user of this process write the file and its directory",
}

_REFUSALS = {
    "authentication failed|no password supplied|no pg_hba.conf entry|not permitted to log in": _LOGIN,
    'role ".*" does not exist': _LOGIN,
    'database ".*" does not exist': _DATABASE,
    "permission denied for database": _GRANT,
    "SSL was required|certificate|^connection is bad: invalid ": _TLS,
}
"""What a connection to PostgreSQL fails with for good; such an error has no SQLSTATE."""


def classify(error: Exception, at: str) -> TransientError | FatalError | RecordError:
    """The error of a call to the database at the address `at`, sorted by what is to be done about it.

    A `RecordError` is about the values that were given: of a query without any, it is fatal.
    """
    if isinstance(error, NoSuchTableError):
        return FatalError(f"{at}: there is no table {error} ({_TABLE})")
    cause = (error.orig if isinstance(error, StatementError) else None) or error
    meaning, hint = _meaning(error, cause)
    text = _described(cause)
    if meaning is _DATA:
        return RecordError(f"the database refuses it: {text}")
    return meaning(f"{at}: {text} ({hint})" if hint else f"{at}: {text}")


def _meaning(error: Exception, cause: BaseException) -> _Meaning:
    if isinstance(error, DBAPIError):
        return (_PASSING, None) if error.connection_invalidated else _of_database(error, cause)
    if isinstance(cause, (ConnectionError, TimeoutError)):
        return _PASSING, None
    # What a driver, or SQLAlchemy before it, raises about a value that it cannot send.
    return (_DATA if isinstance(cause, (ArithmeticError, LookupError, TypeError, ValueError)) else _FATAL), None


def _of_database(error: DBAPIError, cause: BaseException) -> _Meaning:
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(error, str(cause))
    if cause.args and isinstance(cause.args[0], int):
        return _of_number(error, cause.args[0])
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return _of_class(error, str(cause)) if state is None else _of_state(state, str(cause))


def _of_state(state: str, text: str) -> _Meaning:
    if "row-level security" in text:
        return _DATA, None
    meaning = _STATES.get(state) or _STATES.get(state[:2]) or _FATAL
    return meaning, _STATE_HINTS.get(state) or _STATE_HINTS.get(state[:2])


def _of_number(error: DBAPIError, number: int) -> _Meaning:
    if number in _PASSING_NUMBERS:
        return _PASSING, None
    if number in _DATA_NUMBERS or isinstance(error, (DataError, IntegrityError)):
        return _DATA, None
    return _FATAL, _NUMBER_HINTS.get(number)


def _of_sqlite(error: DBAPIError, text: str) -> _Meaning:
    if isinstance(error, (DataError, IntegrityError)) or _DATA_SQLITE.search(text):
        return _DATA, None
    if _PASSING_SQLITE.search(text):
        return _PASSING, None
    return _FATAL, _hint(_SQLITE_HINTS, text)


def _of_class(error: DBAPIError, text: str) -> _Meaning:
    """What is known of any database."""
    if isinstance(error, (DataError, IntegrityError)):
        return _DATA, None
    if hint := _hint(_REFUSALS, text):
        return _FATAL, hint
    return (_PASSING if isinstance(error, (InterfaceError, OperationalError)) else _FATAL), None


def _hint(hints: Mapping[str, str], text: str) -> str | None:
    return next((hint for pattern, hint in hints.items() if re.search(pattern, text)), None)


def _described(cause: BaseException) -> str:
    """The database's own message, on one line."""
    if len(cause.args) > 1 and isinstance(cause.args[0], int):
        text = f"{cause.args[1]} ({cause.args[0]})"
    else:
        text = str(cause)
    return "; ".join(line.strip() for line in text.splitlines() if line.strip()) or type(cause).__name__
