from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flowspec.jsonlines import Appender


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_nothing_is_touched_before_the_first_batch(tmp_path: Path) -> None:
    Appender(tmp_path / "deep" / "out.jsonl")

    assert list(tmp_path.iterdir()) == []


def test_batches_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "out.jsonl"
    file = Appender(path)
    file.append([b"1", b"2"])
    file.append([b"3"])
    file.close()

    assert path.read_bytes() == b"1\n2\n3\n"


def test_a_batch_of_nothing_writes_nothing(tmp_path: Path) -> None:
    Appender(tmp_path / "out.jsonl").append([])

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"a": 1}\n{"b": ', b'{"a": 1}\n"new"\n'),
        (b'{"torn', b'"new"\n'),
        (b"1\n12", b'1\n"new"\n'),
        (b'{"a": 1}\n{"b": 2}', b'{"a": 1}\n{"b": 2}\n"new"\n'),
        (b'{"a": 1}\n' + b'"' + b"x" * 200_000, b'{"a": 1}\n"new"\n'),
        (b"", b'"new"\n'),
        (b"\n", b'\n"new"\n'),
    ],
    ids=["torn", "only a torn line", "torn number", "whole without a line end", "torn and long", "empty", "empty line"],
)
def test_a_last_line_without_end_is_repaired(tmp_path: Path, before: bytes, after: bytes) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(before)
    file = Appender(path)
    file.append([b'"new"'])
    file.close()

    assert path.read_bytes() == after


def test_a_batch_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    file = Appender(path)
    file.append([b"1"])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.append([b"x" * 60, b"y" * 60])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    file.append([b"2"])
    file.close()

    assert lines(path) == [b"1", b"2"]


def test_a_full_file_is_rotated(tmp_path: Path) -> None:
    file = Appender(tmp_path / "out.jsonl", rotate_size=10)
    for number in range(10):
        file.append([b"%04d" % number])
    file.close()

    files = list(tmp_path.iterdir())
    assert len(files) == 5, "two lines of five bytes fill a file"
    assert sorted(line for path in files for line in lines(path)) == [b"%04d" % number for number in range(10)]
    assert all(path.name.startswith("out.") and path.suffix == ".jsonl" for path in files)


def test_a_line_torn_in_a_full_file_is_cut_off_before_the_rotation(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"a": 1}\n{"torn')
    file = Appender(path, rotate_size=9)
    file.append([b'"new"'])
    file.close()

    (rotated,) = set(tmp_path.iterdir()) - {path}
    assert rotated.read_bytes() == b'{"a": 1}\n'
    assert path.read_bytes() == b'"new"\n'


def test_a_rotation_that_fails_has_written_nothing(tmp_path: Path) -> None:
    path = tmp_path / f"{'long' * 60}.jsonl"
    file = Appender(path, rotate_size=1)
    file.append([b"1"])
    for _ in range(2):
        with pytest.raises(OSError, match="File name too long"):
            file.append([b"2"])
    file.close()

    assert lines(path) == [b"1"], "what is tried again is not there twice"


def test_a_file_that_was_moved_or_removed_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    file = Appender(path)
    file.append([b"1"])
    path.rename(tmp_path / "moved.jsonl")
    file.append([b"2"])
    path.unlink()
    file.append([b"3"])
    file.close()

    assert lines(tmp_path / "moved.jsonl") == [b"1"]
    assert lines(path) == [b"3"]


WRITER = """
import sys
from pathlib import Path
from flowspec.jsonlines import Appender

who, path = sys.argv[1], Path(sys.argv[2])
file = Appender(path, rotate_size=200_000, sync=False)
for batch in range(100):
    numbers = range(batch * 10, batch * 10 + 10)
    file.append([b'{"who": %s, "number": %d, "pad": "%s"}' % (who.encode(), n, b"x" * 500) for n in numbers])
file.close()
"""


def test_several_processes_never_mix_lines_nor_lose_one_in_a_rotation(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(who), str(path)]) for who in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]

    files = list(tmp_path.iterdir())
    found = [json.loads(line) for file in files for line in lines(file)]
    assert len(files) > 1
    for who in range(3):
        assert sorted(line["number"] for line in found if line["who"] == who) == list(range(1000))


def test_a_writer_that_is_killed_harms_nobody(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for _ in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, "1", str(path)])
        while not path.exists() or path.stat().st_size < 10_000:
            assert writer.poll() in (None, 0)
            if writer.poll() == 0:
                break
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    with path.open("ab") as torn:
        torn.write(b'{"torn')
    file = Appender(path)
    file.append([b'{"last": true}'])
    file.close()

    assert all(json.loads(line) for file_ in tmp_path.iterdir() for line in lines(file_))
    assert lines(path)[-1] == b'{"last": true}'


def test_a_path_that_cannot_be_opened_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="File exists"):
        Appender(tmp_path / "file" / "out.jsonl").append([b"1"])
