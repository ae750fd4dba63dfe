"""Files that grow: each line once, across renames, cuts and restarts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.sources.files.polling import polling, write


@pytest.fixture
def log(inbox: Path) -> Path:
    """Where a log will be."""
    return inbox / "app.log"


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def grown(path: Path | str, cursor: Any = None, **fields: Any) -> Any:
    return polling(path, cursor, grow=True, **fields)


def test_lines_are_records_when_they_have_their_ends(log: Path) -> None:
    with grown(log) as poll:
        assert poll.bodies() == []
        append(log, "1\n2\n3")
        assert poll.bodies() == ["1", "2"]
        assert poll.bodies() == []
        append(log, "4\n5\n")
        first, second = poll.page().records
        assert (first.body, first.meta["row"], first.meta["offset"]) == ("34", 3, 4)
        assert second.body == "5"
        assert poll.bodies() == []


def test_a_new_run_goes_on_at_the_line(log: Path) -> None:
    append(log, "1\n2\n3\n")
    with grown(log) as poll:
        assert [record.body for record in poll.page(2).records] == ["1", "2"]
    append(log, "4\n")
    with grown(log, poll.saved()) as again:
        assert again.bodies() == ["3", "4"]
    with grown(log, again.saved()) as again:
        assert again.bodies() == []


def test_every_part_of_every_page_can_be_gone_on_from(inbox: Path) -> None:
    write(inbox / "a", "1", "2", "3", at=1)
    write(inbox / "b", "4", at=2)
    write(inbox / "c", "5", "6", "7", "8", at=3)
    rows = [str(number) for number in range(1, 9)]
    with grown(inbox) as poll:
        assert poll.bodies(3) == rows
    done = 0
    for page in poll.pages:
        for count in range(1, len(page.records)):
            with grown(inbox, page.part(count)) as again:
                assert again.bodies(2) == rows[done + count :]
        done += len(page.records)
        with grown(inbox, page.cursor) as again:
            assert again.bodies() == rows[done:]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize("pattern", ["app.log", "app.log*"])
def test_a_renamed_log_is_read_to_its_end_before_the_new_one(log: Path, pattern: str, restarted: bool) -> None:
    path = log.with_name(pattern)
    append(log, "1\n")
    with grown(path) as poll:
        assert poll.bodies() == ["1"]
        append(log, "2\n")
        log.rename(old := log.with_name("app.log.1"))
        append(log, "4\n")
        append(old, "3\n")
        if not restarted:
            assert poll.bodies() == ["2", "3", "4"]
            append(old, "late\n")
            assert poll.bodies() == ["late"]
    if restarted:
        with grown(path, poll.saved()) as again:
            assert again.bodies() == ["2", "3", "4"]


def test_a_last_line_without_an_end_is_taken_when_the_log_was_renamed_and_stays_as_it_is(log: Path) -> None:
    append(log, "1\n2")
    with grown(log, settle_time="50ms") as poll:
        assert poll.bodies() == ["1"]
        log.rename(log.with_name("old"))
        append(log, "3\n")
        rows = poll.bodies()
        while len(rows) < 2:
            rows += poll.bodies()
        assert rows == ["2", "3"], "the new log waits for it"
    with grown(log, poll.saved()) as again:
        assert again.bodies() == []


def test_a_log_without_one_whole_line_is_followed_as_well(log: Path) -> None:
    append(log, "1")
    with grown(log) as poll:
        assert poll.bodies() == []
    log.rename(log.with_name("old"))
    append(log, "2\n")
    with grown(log, poll.saved()) as again:
        assert again.bodies() == ["1", "2"]


def test_a_log_that_is_removed_is_read_to_its_end(log: Path) -> None:
    append(log, "1\n")
    with grown(log) as poll:
        assert poll.bodies() == ["1"]
        append(log, "2\n3")
        log.unlink()
        assert poll.bodies() == [], "perhaps its disk is not mounted"
        append(log, "4\n")
        assert poll.bodies() == ["2", "3", "4"]
        assert len(poll.cursor["files"]) == 1
        assert poll.bodies() == []


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@pytest.mark.parametrize(
    "new", ["2\n", "x\ny\nz\n", "a much longer text than before\n"], ids=["less", "as much", "more"]
)
def test_a_log_that_is_cut_is_read_from_its_beginning(
    log: Path, new: str, restarted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    append(log, "a\nb\nc\n")
    with grown(log) as poll:
        assert poll.bodies() == ["a", "b", "c"]
        if not restarted:
            with caplog.at_level(logging.INFO):
                log.write_text(new)
                assert poll.bodies() == new.split("\n")[:-1]
            assert f"{log} was cut, or written anew" in caplog.text
            append(log, "more\n")
            assert poll.bodies() == ["more"]
    if restarted and new != "x\ny\nz\n":
        log.write_text(new)
        with grown(log, poll.saved()) as again:
            assert again.bodies() == new.split("\n")[:-1]


def test_a_new_log_at_the_inode_of_an_old_one_is_new(log: Path) -> None:
    append(log, "a\nb\n")
    with grown(log) as poll:
        assert poll.bodies() == ["a", "b"]
    log.write_text("c\nd\ne\n")
    with grown(log, poll.saved()) as again:
        assert again.bodies() == ["c", "d", "e"]


def test_a_file_of_another_name_at_the_inode_of_a_log_is_left_alone(log: Path) -> None:
    append(log, "a\nb\n")
    with grown(log) as poll:
        assert poll.bodies() == ["a", "b"]
    log.rename(other := log.with_name("letter"))
    other.write_text("no log at all\n")
    append(log, "c\n")
    with grown(log, poll.saved()) as again:
        assert again.bodies() == ["c"]
        assert len(again.cursor["files"]) == 1


@pytest.mark.parametrize(
    ("there", "then", "expected"),
    [("", "1\n", ["1"]), ("0\n", "1\n", ["1"]), ("0\nhalf", " a line\n1\n", ["half a line", "1"])],
)
def test_since_now(log: Path, there: str, then: str, expected: list[str]) -> None:
    append(log, there)
    with grown(log, since="now") as poll:
        assert poll.bodies() == []
        append(log, then)
        assert poll.bodies() == expected


def test_since_now_has_the_header_of_csv(log: Path) -> None:
    append(log, "id,name\n1,a\n")
    with grown(log, since="now", format="csv") as poll:
        poll.bodies()
        append(log, "2,b\n")
    with grown(log, poll.saved(), format="csv") as again:
        assert again.bodies() == [{"id": "2", "name": "b"}]


def test_since_a_time(inbox: Path) -> None:
    write(inbox / "a", "1", at=1000)
    write(inbox / "b", "2", at=2000)
    with grown(inbox, since="1970-01-01T00:30:00Z") as poll:
        assert poll.page().records == []
        append(inbox / "a", "3\n")
        assert sorted(poll.bodies()) == ["2", "3"]


def test_compressed_copies_of_logs_are_left_out(log: Path) -> None:
    append(log, "1\n")
    log.with_name("app.log.1.gz").write_bytes(b"anything")
    with grown(log.with_name("app.log*")) as poll:
        assert poll.bodies() == ["1"]


def test_more_logs_than_are_kept_open(inbox: Path) -> None:
    names = [f"{number:03}" for number in range(100)]
    with grown(inbox) as poll:
        for _ in range(3):
            for name in names:
                append(inbox / name, f"{name}\n")
            assert sorted(poll.bodies(7)) == names
        assert len(poll.poller._handles) == 64


def test_a_log_that_never_ends_does_not_hold_up_the_others(inbox: Path) -> None:
    write(inbox / "a", *["a"] * 10, at=1000)
    write(inbox / "b", "b", at=2000)
    rows: list[Any] = []
    with grown(inbox) as poll:
        for _ in range(20):
            rows += [record.body for record in poll.page(4).records]
            append(inbox / "a", "a\n" * 5)
    assert "b" in rows[:30]


def test_a_cut_while_it_is_being_read(log: Path) -> None:
    append(log, "a\n" * 100_000)
    with grown(log) as poll:
        poll.page(10)
        log.write_text("new\n")
        rows = poll.bodies()
        rows += poll.bodies()
    assert rows[-1] == "new"


def test_a_folder_that_is_empty_for_once_forgets_nothing(log: Path, tmp_path: Path) -> None:
    append(log, "1\n")
    with grown(log) as poll:
        assert poll.bodies() == ["1"]
    log.rename(away := tmp_path / "away")
    with grown(log, poll.saved()) as again:
        assert again.bodies() == []
        away.rename(log)
        append(log, "2\n")
        assert again.bodies() == ["2"]
