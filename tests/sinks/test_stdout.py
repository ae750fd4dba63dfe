from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from sinks.stdout import Print

PRINTER = """
import sys
from flowspec.errors import FatalError
from sinks.stdout import Print
from tests.sinks.ends import open_writer, records

writer = open_writer(Print())
try:
    for batch in range(int(sys.argv[1])):
        writer.write(records(*({"id": batch * 10 + n, "pad": "x" * 1000} for n in range(10))))
except FatalError as error:
    sys.exit(f"fatal: {error}")
writer.close()
"""


def test_lines_of_several_workers_do_not_mix() -> None:
    read = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert read.stdin is not None
    writers = [subprocess.Popen([sys.executable, "-c", PRINTER, "50"], stdout=read.stdin) for _ in range(3)]
    read.stdin.close()
    read.stdin = None
    output, _ = read.communicate()

    assert [writer.wait() for writer in writers] == [0, 0, 0]
    ids = sorted(json.loads(line)["id"] for line in output.splitlines())
    assert ids == sorted(list(range(500)) * 3)


def test_a_pipe_that_does_not_block_gets_every_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    writer = subprocess.Popen([sys.executable, "-c", PRINTER, "50"], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        ids = [json.loads(line)["id"] for line in output]
    _, error = writer.communicate()

    assert (writer.returncode, error) == (0, b"")
    assert ids == list(range(500))


def test_a_full_disk_stops_the_flow() -> None:
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run([sys.executable, "-c", PRINTER, "1"], stdout=full, stderr=subprocess.PIPE, check=False)

    assert run.returncode == 1
    assert run.stderr.decode().strip() == "fatal: standard output cannot be written: No space left on device"


def test_a_reader_that_went_away_stops_the_flow() -> None:
    writer = subprocess.Popen([sys.executable, "-c", PRINTER, "5000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdout is not None
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.stderr is not None
    error = writer.stderr.read()
    writer.stderr.close()

    assert writer.wait() == 1
    assert error.decode().strip() == "fatal: standard output was closed by its reader"


def test_there_is_nothing_to_check() -> None:
    assert Print().check() == "nothing to check: lines go to standard output"
