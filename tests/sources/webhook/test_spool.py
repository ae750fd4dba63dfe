"""The spool: what is appended is read, until it is committed, whatever happens."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flowspec.errors import FatalError
from sources.webhook.spool import Spool, SpoolPosition

SEGMENT = 1000


@contextmanager
def spool(directory: Path, segment_size: int = SEGMENT) -> Iterator[Spool]:
    opened = Spool(directory, segment_size)
    try:
        yield opened
    finally:
        opened.close()


def read_all(opened: Spool) -> list[tuple[bytes, SpoolPosition]]:
    found = []
    while some := opened.read(7, 0):
        found += some
    return found


def entries(opened: Spool) -> list[bytes]:
    return [entry for entry, _ in read_all(opened)]


def numbered(count: int, size: int = 0) -> list[bytes]:
    return [b"%d" % number + b"x" * size for number in range(count)]


def test_what_is_appended_is_read_in_order(tmp_path: Path) -> None:
    everything = [*numbered(100), b"", b"x" * 3_000_000, *numbered(50)]
    with spool(tmp_path) as opened:
        assert opened.read(10, 0) == []
        for start in range(0, len(everything), 9):
            opened.append(everything[start : start + 9])
        assert opened.waiting == len(everything)
        assert entries(opened) == everything
        assert opened.waiting == 0


def test_what_is_not_committed_comes_again(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        opened.append(numbered(100))
        position = read_all(opened)[59][1]
        opened.commit(position)
    with spool(tmp_path) as opened:
        assert opened.waiting == 40
        opened.append([b"new"])
        assert entries(opened) == [*numbered(100)[60:], b"new"]


def test_what_is_delivered_is_removed(tmp_path: Path) -> None:
    with spool(tmp_path) as opened:
        for entry in numbered(100, size=100):
            opened.append([entry])
        files, size = len(list(tmp_path.glob("*.spool"))), opened.size
        assert files >= 9
        for number, (_, position) in enumerate(read_all(opened)):
            opened.commit(position)
            assert opened.size <= size - number * 100 + SEGMENT
        assert len(list(tmp_path.glob("*.spool"))) <= 1
        assert opened.size <= SEGMENT + 200
    assert [path.name for path in tmp_path.iterdir()] == ["delivered"]


@pytest.mark.parametrize("cut", [1, 5, 9, 60, 106])
def test_an_end_that_a_crash_left_is_no_entry(tmp_path: Path, cut: int) -> None:
    with spool(tmp_path, 10_000) as opened:
        opened.append(numbered(3, size=100))
    (path,) = tmp_path.glob("*.spool")
    path.write_bytes(path.read_bytes()[:-cut])
    with spool(tmp_path) as opened:
        opened.append([b"new"])
        assert entries(opened) == [*numbered(2, size=100), b"new"]


@pytest.mark.parametrize("garbage", [b"\0" * 500, b"x" * 500, random.Random(1).randbytes(500)])
def test_bytes_that_were_never_written_are_no_entries(tmp_path: Path, garbage: bytes) -> None:
    with spool(tmp_path, 10_000) as opened:
        opened.append(numbered(3))
    (path,) = tmp_path.glob("*.spool")
    with path.open("ab") as file:
        file.write(garbage)
    with spool(tmp_path) as opened:
        assert entries(opened) == numbered(3)


def test_a_cursor_that_was_lost_means_the_beginning(tmp_path: Path) -> None:
    with spool(tmp_path, 10_000) as opened:
        opened.append(numbered(3))
        opened.commit(read_all(opened)[0][1])
    (tmp_path / "delivered").write_bytes(b"\0" * 26)
    with spool(tmp_path) as opened:
        assert entries(opened) == numbered(3)


def test_a_full_disk_refuses_and_goes_on(tmp_path: Path) -> None:
    with spool(tmp_path, 100_000) as opened:
        opened.append(numbered(3))
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # A write beyond it fails as one on a full disk does: a part of it is done.
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            for _ in range(3):
                with pytest.raises(OSError, match="File too large"):
                    opened.append(numbered(3, size=1000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        opened.append([b"new"])
        assert entries(opened) == [*numbered(3), b"new"]
    with spool(tmp_path) as opened:
        assert entries(opened) == [*numbered(3), b"new"], "no half of a batch is left"


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FatalError, match=f"accepted requests cannot be stored in {tmp_path}/file/spool: Not a dir"):
        Spool(tmp_path / "file" / "spool", SEGMENT)


def test_it_is_open_once(tmp_path: Path) -> None:
    with spool(tmp_path), pytest.raises(FatalError, match="in use by another run"):
        Spool(tmp_path, SEGMENT)
    with spool(tmp_path):
        pass
