"""Deleting and moving files: nothing that was not read is lost, and a crash leaves no second copy."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from flowspec.errors import FatalError, TransientError
from sources.files.found import Found
from sources.files.settling import settle
from tests.sources.files.polling import without_rights, write


def identity(path: Path) -> int:
    return Found.of(str(path), path.stat()).identity


@pytest.fixture(params=["the same file system", "another one", "one without links"])
def done(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where files go."""
    if request.param == "another one":
        folder: Path = request.getfixturevalue("elsewhere")
        return folder / "done"
    if request.param == "one without links":

        def link(*paths: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", link)
    return tmp_path / "done"


def test_a_moved_file_is_what_it_was(inbox: Path, done: Path) -> None:
    path = write(inbox / "a.txt", "1", at=1000)
    settle([(path, identity(path))], done)

    assert list(inbox.iterdir()) == []
    (moved,) = done.iterdir()
    assert (moved.name, moved.read_text(), moved.stat().st_mtime) == ("a.txt", "1\n", 1000)


def test_names_that_are_taken_get_a_number(inbox: Path, done: Path) -> None:
    for number in range(3):
        path = write(inbox / "a.txt", str(number), at=1000 + number)
        settle([(path, identity(path))], done)

    assert {path.name: path.read_text() for path in done.iterdir()} == {
        "a.txt": "0\n", "a-2.txt": "1\n", "a-3.txt": "2\n",
    }  # fmt: skip


def test_a_crash_before_the_file_was_removed_leaves_no_second_copy(
    inbox: Path, done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(inbox / "a.txt", "1", at=1000)
    was = identity(path)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *args, **kwargs: None)
        settle([(path, was)], done)
    settle([(path, was)], done)

    assert not path.exists()
    assert [moved.name for moved in done.iterdir() if not moved.name.startswith(".")] == ["a.txt"]


@pytest.mark.parametrize("becomes", ["gone", "changed", "another"])
def test_what_is_not_the_file_any_more_is_left_alone(inbox: Path, done: Path, becomes: str) -> None:
    path = write(inbox / "a.txt", "1")
    was = identity(path)
    path.unlink()
    if becomes != "gone":
        write(path, "1" if becomes == "another" else "changed")
    settle([(path, was)], done)
    settle([(path, was)], None)

    assert path.exists() == (becomes != "gone")
    assert not done.exists() or list(done.iterdir()) == []


def test_what_must_not_be_removed_is_fatal(public: Path) -> None:
    path = write(public / "a.txt", "1")
    with without_rights(), pytest.raises(FatalError, match=r"a.txt was delivered and cannot be deleted: Permission"):
        settle([(path, identity(path))], None)


def test_a_full_disk_is_waited_for(inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", link)
    path = write(inbox / "a.txt", "1")
    with pytest.raises(TransientError, match=r"cannot be moved to .*: No space left on device"):
        settle([(path, identity(path))], tmp_path / "done")
    assert path.exists()
