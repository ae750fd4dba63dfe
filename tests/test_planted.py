"""A test that lets out a secret fails, wherever it lets it out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tests.planted

_HOOKS = f"from {tests.planted.__name__} import {', '.join(tests.planted.__all__)}\n"
_TESTS = '''
import base64, json, logging, sqlite3, subprocess, sys, warnings
import click, pytest
from click.testing import CliRunner
from flowspec.errors import RecordError
from tests.secrets import planted_account, secret

PASSWORD = secret("Password")

def test_fine(tmp_path):
    for name in ("spec.json", "accounts.toml"):
        (tmp_path / name).write_text(json.dumps(planted_account("http")))
    (tmp_path / "log.txt").write_text("password=********")
    print("a line")

@pytest.mark.plants("in*.txt")
def test_marked(tmp_path):
    (tmp_path / "input.txt").write_text(PASSWORD)

def test_in_the_output():
    print("connecting with", PASSWORD)

def test_in_small_letters_on_stderr():
    print("no host", PASSWORD.lower(), file=sys.stderr)

def test_in_the_log():
    logging.getLogger("sources").warning("login of %s failed", PASSWORD)

def test_in_a_fixture(setup):
    """Of which the output comes before the test's."""

@pytest.fixture
def setup():
    yield
    print(PASSWORD)

def test_in_a_header_of_a_file(tmp_path):
    (tmp_path / "flow").mkdir()
    header = base64.b64encode(f"user:{PASSWORD}".encode())
    (tmp_path / "flow" / "log.txt").write_bytes(b"Authorization: Basic " + header)

@pytest.fixture
def store(request):
    connection = sqlite3.connect(request.getfixturevalue("tmp_path") / "dead-letters.sqlite")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE letters (error)")
    connection.commit()
    yield connection
    connection.close()

def test_in_a_database(store):
    keep(store)

def keep(store):
    store.execute("INSERT INTO letters VALUES (?)", (f"cannot reach amqp://me:{PASSWORD}@host",))
    store.commit()

@pytest.fixture
def open_store(store):
    other = sqlite3.connect(store.execute("PRAGMA database_list").fetchone()[2])
    other.execute("SELECT * FROM letters").fetchall()
    kept.append(other)
    yield store

kept = []

def test_in_the_log_of_a_database(open_store, tmp_path):
    keep(open_store)
    assert PASSWORD.encode() not in (tmp_path / "dead-letters.sqlite").read_bytes()

def test_in_what_a_command_says():
    CliRunner().invoke(click.Command("x", callback=lambda: click.echo(PASSWORD)))

def test_in_the_traceback_of_a_command():
    CliRunner().invoke(click.Command("x", callback=lambda: {}[PASSWORD]))

def test_in_what_a_process_says():
    subprocess.run([sys.executable, "-c", f"print('{PASSWORD}')"], capture_output=True)

def test_in_an_error_that_is_caught():
    with pytest.raises(RecordError):
        raise RecordError(f"token {PASSWORD} is refused")

def test_in_output_that_is_taken(capsys):
    print(PASSWORD)
    capsys.readouterr()

def test_in_a_test_that_fails_anyway():
    print(PASSWORD)
    assert 1 == 2
'''


_LET_OUT = {
    "the_output": "Captured stdout call: connecting with ",
    "small_letters_on_stderr": "Captured stderr call: no host ",
    "the_log": "sources:test_inner.py:.* login of ",
    "a_fixture": "Captured stdout teardown: ",
    "a_header_of_a_file": "flow/log.txt: Authorization: Basic dXNlcjp",
    "a_database": "amqp://me:",
    "the_log_of_a_database": "dead-letters.sqlite-wal: .*",
    "what_a_command_says": "CliRunner.invoke: ",
    "the_traceback_of_a_command": "CliRunner.invoke: KeyError\\('",
    "what_a_process_says": "Popen.communicate: ",
    "an_error_that_is_caught": "FlowError.__init__: \\('token ",
    "output_that_is_taken": "CaptureFixture.readouterr: ",
    "a_test_that_fails_anyway": "Captured stdout call: ",
}
"""The tests that let out secrets, and what is said of it."""


@pytest.mark.plants("temp")
@pytest.mark.parametrize("how", [("-p", "no:xdist"), ("-n", "1")], ids=["one process", "xdist"])
def test_a_test_that_lets_out_a_secret_fails(tmp_path: Path, how: tuple[str, str]) -> None:
    (tmp_path / "conftest.py").write_text(_HOOKS)
    (tmp_path / "test_inner.py").write_text(_TESTS)
    quiet = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path)]
    options = [*quiet, "--basetemp", str(tmp_path / "temp"), "-rfE", *how]
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)

    assert set(re.findall(r"^ERROR .*::test_in_(\w+)", ran.stdout, re.MULTILINE)) == set(_LET_OUT), ran.stdout
    assert re.findall(r"^FAILED .*::test_(\w+)", ran.stdout, re.MULTILINE) == ["in_a_test_that_fails_anyway"]
    for place in _LET_OUT.values():
        assert re.search(place + "<planted secret", ran.stdout), place
