"""Which files are found, and at what cost."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from flowspec.errors import FatalError, TransientError
from sources.files.scanning import Folder
from tests.sources.files.polling import without_rights, write

_TREE = [
    "a.csv", "b.json", ".hidden.csv", "c.csv.tmp", "d.csv.part", "x/e.csv", "x/y/f.csv", "x/y/.z/g.csv", "x/.h.csv",
    "inbox-1/i.csv", "inbox-2/j.csv",
]  # fmt: skip


def never() -> None:
    """What looks whether a look is to end."""


def found(path: Path | str, folder: Folder | None = None) -> set[str]:
    root = str(path).partition("*")[0]
    return {each.path.removeprefix(root) for each in (folder or Folder(str(path))).scan(never).fresh()}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", {"a.csv", "b.json"}),
        ("*", {"a.csv", "b.json"}),
        ("*.csv", {"a.csv"}),
        ("?.[jc]s*", {"a.csv", "b.json"}),
        ("**", {"a.csv", "b.json", "x/e.csv", "x/y/f.csv", "inbox-1/i.csv", "inbox-2/j.csv"}),
        ("**/*.csv", {"a.csv", "x/e.csv", "x/y/f.csv", "inbox-1/i.csv", "inbox-2/j.csv"}),
        ("**/y/**", {"x/y/f.csv"}),
        ("**/**/f.csv", {"x/y/f.csv"}),
        ("x/**/*.csv", {"x/e.csv", "x/y/f.csv"}),
        ("*/*.csv", {"x/e.csv", "inbox-1/i.csv", "inbox-2/j.csv"}),
        ("inbox-*/*", {"inbox-1/i.csv", "inbox-2/j.csv"}),
        (".*.csv", {".hidden.csv"}),
        ("*.tmp", {"c.csv.tmp"}),
        ("**/.z/*", {"x/y/.z/g.csv"}),
        ("b.json", {"b.json"}),
        ("*.xml", set()),
    ],
)
def test_patterns(inbox: Path, pattern: str, expected: set[str]) -> None:
    for name in _TREE:
        write(inbox / name, "1")

    scan = Folder(f"{inbox}/{pattern}").scan(never)
    assert {each.path.removeprefix(f"{inbox}/") for each in scan.fresh()} == expected
    assert scan.faults == []


def test_links_to_files_are_followed_and_loops_are_not(inbox: Path, tmp_path: Path) -> None:
    write(tmp_path / "other" / "a.csv", "1")
    write(inbox / "sub" / "b.csv", "1")
    (inbox / "link.csv").symlink_to(tmp_path / "other" / "a.csv")
    (inbox / "folder").symlink_to(tmp_path / "other")
    (inbox / "sub" / "loop").symlink_to(inbox)
    (inbox / "nowhere.csv").symlink_to(inbox / "missing")
    (inbox / "itself.csv").symlink_to(inbox / "itself.csv")

    assert found(f"{inbox}/**") == {"link.csv", "sub/b.csv"}
    assert found(f"{inbox}/*/*.csv") == {"folder/a.csv", "sub/b.csv"}
    scan = Folder(f"{inbox}/**").scan(never)
    assert scan.faults == []


def test_what_is_no_file_is_left_out(inbox: Path) -> None:
    os.mkfifo(inbox / "pipe.csv")
    (inbox / "folder.csv").mkdir()

    assert found(f"{inbox}/*") == set()


def test_a_folder_that_is_not_there_is_waited_for(inbox: Path) -> None:
    with pytest.raises(TransientError, match=r"folder .*missing does not exist \(yet\)"):
        Folder(str(inbox / "missing")).scan(never)
    with pytest.raises(TransientError, match="missing does not exist"):
        Folder(f"{inbox}/missing/*.csv").scan(never)


def test_what_is_no_folder_is_fatal(inbox: Path) -> None:
    write(inbox / "a", "1")
    with pytest.raises(FatalError, match="a cannot be read: Not a directory"):
        Folder(f"{inbox}/a/*.csv").scan(never)


def test_a_folder_that_must_not_be_read_is_fatal_and_one_in_it_is_not(public: Path) -> None:
    write(public / "closed" / "a.csv", "1")
    write(public / "open" / "b.csv", "1")
    (public / "closed").chmod(0)
    with without_rights():
        with pytest.raises(FatalError, match="closed cannot be read: Permission denied"):
            Folder(str(public / "closed")).scan(never)
        scan = Folder(f"{public}/**").scan(never)
    assert [each.name for each in scan.fresh()] == ["b.csv"]
    assert [error.filename for error in scan.faults] == [str(public / "closed")]


class TestAgain:
    """The same folder, looked at several times."""

    def looked(self, folder: Folder, known: frozenset[int] = frozenset()) -> set[str]:
        return {each.name for each in folder.scan(never, known).fresh()}

    def test_new_gone_and_changed_files_are_seen(self, inbox: Path) -> None:
        folder = Folder(str(inbox))
        first = write(inbox / "a", "1")
        long_ago = time.time() - 100
        os.utime(inbox, (long_ago, long_ago))
        scan = folder.scan(never)
        known = frozenset(scan.identities())
        assert self.looked(folder, known) == set()

        write(inbox / "b", "1")
        assert self.looked(folder, known) == {"b"}
        assert self.looked(folder, known) == {"b"}
        first.unlink()
        scan = folder.scan(never, known)
        assert scan.count == 1

        folder._complete_at = 0.0
        write(inbox / "b", "changed")
        assert self.looked(folder, known) == {"b"}

    def test_one_that_is_being_written_is_looked_at_each_time(self, inbox: Path) -> None:
        folder = Folder(str(inbox))
        path = write(inbox / "a", "1")
        long_ago = time.time() - 100
        os.utime(inbox, (long_ago, long_ago))
        sizes = set()
        for number in range(3):
            folder._complete_at = float("inf") if number else 0.0
            (file,) = folder.scan(never).fresh()
            sizes.add(file.size)
            with path.open("a") as out:
                out.write("more\n")
        assert sizes == {2, 7, 12}

    def test_a_folder_that_was_not_changed_is_not_listed_again(
        self, inbox: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = Folder(f"{inbox}/**")
        write(inbox / "x" / "a", "1")
        for each in (inbox, inbox / "x"):
            os.utime(each, (1e9, 1e9))
        known = frozenset(folder.scan(never).identities())
        folder._complete_at = float("inf")
        listed: list[object] = []
        scandir = os.scandir

        def spy(path: str) -> object:
            listed.append(path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", spy)
        assert self.looked(folder, known) == set()
        assert listed == []
        write(inbox / "x" / "b", "1")
        assert self.looked(folder, known) == {"b"}
        assert listed == [str(inbox / "x")]
