"""What a check says of files, and what a file's records are known by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowspec.errors import FatalError, TransientError
from sources.files import NewFiles
from tests.sources.files.polling import polling, without_rights, write


def check(path: Path | str, **fields: Any) -> str:
    return NewFiles(path=str(path), **fields).check()


def test_a_folder_that_can_be_read_says_what_is_there(inbox: Path) -> None:
    assert check(inbox) == f"folder {inbox} can be read, 0 files match"
    write(inbox / "a.txt", "1")
    write(inbox / "b.csv", "1")
    assert check(inbox / "*.csv") == f"folder {inbox} can be read, 1 file matches"
    done = inbox / "done" / "today"
    assert check(inbox, after="move", move_to=str(done)) == (
        f"folder {inbox} can be read, 2 files match, and files can leave it; folder {done} can be made"
    )
    assert sorted(path.name for path in inbox.iterdir()) == ["a.txt", "b.csv"]


def test_what_is_wrong_is_told_apart(inbox: Path) -> None:
    with pytest.raises(TransientError, match="missing does not exist"):
        check(inbox / "missing")
    file = write(inbox / "a.txt", "1")
    with pytest.raises(FatalError, match="Not a directory"):
        check(file / "*.csv")
    with pytest.raises(FatalError, match=f"{file} is not a folder"):
        check(inbox, after="move", move_to=str(file / "done"))


def test_what_is_forbidden_is_said(public: Path) -> None:
    file = write(public / "a.txt", "1")
    with without_rights():
        assert "1 file matches" in check(public)
        with pytest.raises(FatalError, match=f"{public} must not be written"):
            check(public, after="delete")
    file.chmod(0o600)
    with without_rights(), pytest.raises(FatalError, match=f"{file} must not be read"):
        check(public)
    public.chmod(0o700)
    with without_rights(), pytest.raises(FatalError, match="Permission denied"):
        check(public)


def test_a_record_is_known_by_its_file_as_it_was_and_its_row(inbox: Path) -> None:
    trigger = NewFiles(path=str(inbox))
    file = write(inbox / "a.txt", "x", "x", at=1_000_000)

    def identities() -> list[str | None]:
        with polling(inbox) as polls:
            return [trigger.identity(record) for record in polls.page().records]

    first = identities()
    assert first == [f"{file}/{file.stat().st_ino}/4/1970-01-12T13:46:40.000Z/{row}" for row in (1, 2)]
    assert identities() == first, "it is the same when it is read again"
    write(file, "x", "x", at=1_000_001)
    assert not {*identities()} & {*first}, "it is another when the file was written anew"


def test_lines_of_files_that_grow_cannot_be_known(inbox: Path) -> None:
    write(inbox / "a.log", "x")
    with polling(inbox, grow=True) as polls:
        (record,) = polls.page().records
    assert NewFiles(path=str(inbox), grow=True).identity(record) is None
