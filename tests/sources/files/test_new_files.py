"""New files: each row once, whatever becomes of the files meanwhile."""

from __future__ import annotations

import gzip
import logging
import os
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flowspec.errors import FatalError, RecordError, TransientError
from tests.sources.files.polling import polling, without_rights, write


def test_files_are_read_the_oldest_first_then_by_name(inbox: Path) -> None:
    write(inbox / "c", "3", at=1000)
    write(inbox / "b", "2", at=1000)
    write(inbox / "a", "4", "5", at=2000)
    write(inbox / "d", "1", at=500)
    with polling(inbox) as poll:
        assert poll.bodies(2) == ["1", "2", "3", "4", "5"]
        assert poll.bodies() == []


def test_records_say_where_they_are_from(inbox: Path) -> None:
    path = write(inbox / "a.txt", "1", "é", at=datetime(2024, 5, 1, tzinfo=timezone.utc).timestamp())
    with polling(inbox) as poll:
        _, second = poll.page().records

    assert second.raw == "é".encode()
    assert second.meta == {
        "path": str(path), "name": "a.txt", "inode": path.stat().st_ino, "size": 5,
        "modified_at": "2024-05-01T00:00:00.000Z", "row": 2, "offset": 2,
    }  # fmt: skip


def test_every_part_of_every_page_can_be_gone_on_from(inbox: Path) -> None:
    write(inbox / "a", "1", "2", "3", at=1)
    write(inbox / "b", at=2)
    write(inbox / "c", "4", at=3)
    write(inbox / "d", "5", "6", "7", "8", at=4)
    write(inbox / "e", at=5)
    rows = [str(number) for number in range(1, 9)]
    with polling(inbox) as poll:
        assert poll.bodies(3) == rows
    done = 0
    for page in poll.pages:
        assert page.part is not None or not page.records
        for count in range(1, len(page.records)):
            assert page.part is not None
            with polling(inbox, page.part(count)) as again:
                assert again.bodies(2) == rows[done + count :]
        done += len(page.records)
        with polling(inbox, page.cursor) as again:
            assert again.bodies() == rows[done:]


def test_a_half_read_file_goes_on_at_its_row_first_and_under_a_new_name(inbox: Path) -> None:
    half = write(inbox / "a", *map(str, range(10)), at=1000)
    with polling(inbox) as poll:
        assert [record.body for record in poll.page(4).records] == ["0", "1", "2", "3"]
    half.rename(inbox / "z")
    write(inbox / "older", "x", at=1)
    with polling(inbox, poll.saved(), settle_time=3600) as again:
        assert again.bodies() == ["4", "5", "6", "7", "8", "9"]
    with polling(inbox, poll.saved()) as again:
        assert again.bodies() == ["4", "5", "6", "7", "8", "9", "x"]


@pytest.mark.parametrize("becomes", ["gone", "changed"])
def test_a_half_read_file_that_is_not_there_any_more_is_said(
    inbox: Path, becomes: str, caplog: pytest.LogCaptureFixture
) -> None:
    half = write(inbox / "a", *map(str, range(5)))
    with polling(inbox) as poll:
        poll.page(2)
    if becomes == "gone":
        half.unlink()
    else:
        write(half, "new")
    write(inbox / "b", "x")
    with caplog.at_level(logging.WARNING), polling(inbox, poll.saved()) as again:
        assert sorted(again.bodies()) == (["x"] if becomes == "gone" else ["new", "x"])
    assert f"{half} was removed or changed" in caplog.text


def test_a_half_read_file_of_another_format_is_read_anew(inbox: Path) -> None:
    write(inbox / "a", "1", "2")
    with polling(inbox) as poll:
        poll.page(1)
    with polling(inbox, poll.saved(), format="json-lines") as again:
        assert again.bodies() == [1, 2]


def test_what_is_late_old_renamed_linked_or_changed(inbox: Path) -> None:
    with polling(inbox) as poll:
        first = write(inbox / "a", "1")
        assert poll.bodies() == ["1"]
        write(inbox / "late", "2", at=1.0)
        assert poll.bodies() == ["2"], "one with an old time is not missed"
        first.rename(inbox / "b")
        os.link(inbox / "b", inbox / "c")
        assert poll.bodies() == [], "a renamed file does not come again"
        write(inbox / "b", "1", "changed")
        poll.look_at_all()
        assert poll.bodies() == ["1", "changed"], "a changed file does, as a whole"
    with polling(inbox, poll.saved()) as again:
        assert again.bodies() == []


def test_a_file_with_two_names_is_read_once(inbox: Path) -> None:
    os.link(write(inbox / "a", "1"), inbox / "b")
    (inbox / "c").symlink_to(inbox / "a")
    with polling(inbox) as poll:
        assert poll.bodies() == ["1"]


def test_files_that_are_not_complete_by_their_names(inbox: Path) -> None:
    with polling(inbox) as poll:
        for name in ("a.tmp", "b.part", ".c"):
            write(inbox / name, "x")
        assert poll.bodies() == []
        (inbox / "a.tmp").rename(inbox / "a")
        assert poll.bodies() == ["x"]


def test_a_file_is_read_when_it_stays_as_it_is(inbox: Path) -> None:
    path = inbox / "a"

    def write_slowly() -> None:
        with path.open("w") as file:
            for number in range(40):
                file.write(f"{number},")
                file.flush()
                time.sleep(0.02)
            file.write("end\n")

    writer = threading.Thread(target=write_slowly)
    with polling(inbox, settle_time="2s") as poll:
        writer.start()
        rows: list[str] = []
        while not rows:
            rows += poll.bodies()
        writer.join()
    assert rows == [",".join(map(str, range(40))) + ",end"]


def test_an_old_file_is_read_at_once_and_one_copied_with_its_old_time_is_not(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(inbox / "a", "1", at=1000)
    with polling(inbox, settle_time="1h") as poll:
        assert poll.bodies() == [], "the system knows that it is new, whatever its time is"
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 3601)
        assert poll.bodies() == ["1"]


def test_a_wait_for_a_file_to_be_complete_can_be_cancelled(inbox: Path) -> None:
    write(inbox / "a", "1")
    with polling(inbox, settle_time="1s") as poll:
        timer = threading.Timer(0.1, poll.poller.cancel)
        timer.start()
        with pytest.raises(TransientError, match="cancelled"):
            poll.page()
        timer.join()
        assert poll.bodies() == ["1"]


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ("beginning", ["1", "2", "3"]),
        ("now", ["3"]),
        ("2024-05-01T00:00:00Z", ["2", "3"]),
        ("2024-05-01T02:00:00+02:00", ["2", "3"]),
    ],
)
def test_since(inbox: Path, since: str, expected: list[str]) -> None:
    moment = datetime(2024, 5, 1, tzinfo=timezone.utc).timestamp()
    write(inbox / "a", "1", at=moment - 1)
    write(inbox / "b", "2", at=moment)
    with polling(inbox, since=since) as poll:
        first = poll.page()
        write(inbox / "c", "3", at=moment)
        assert [record.body for record in first.records] + poll.bodies() == expected
    with polling(inbox, poll.saved(), since=since) as again:
        assert again.bodies() == []


def test_nothing_to_begin_at(inbox: Path) -> None:
    with pytest.raises(FatalError, match="'yesterday' is nothing to begin at"), polling(inbox, since="yesterday"):
        pass


class TestAfter:
    """What becomes of files that are delivered."""

    @pytest.mark.parametrize("after", ["delete", "move"])
    def test_a_file_leaves_when_all_of_it_is_delivered(self, inbox: Path, tmp_path: Path, after: str) -> None:
        move_to = str(tmp_path / "done" / "here") if after == "move" else None
        write(inbox / "a", "1", "2", at=1)
        write(inbox / "b", at=2)
        write(inbox / "c", "3", "4", at=3)
        with polling(inbox, after=after, move_to=move_to) as poll:
            page = poll.page(3)
            assert page.part is not None
            poll.poller.settle(page.part(1))
            assert len(list(inbox.iterdir())) == 3
            poll.poller.settle(page.cursor)
            assert [path.name for path in inbox.iterdir()] == ["c"]
            last = poll.page(3)
            assert [record.body for record in last.records] == ["4"]
            poll.poller.settle(last.cursor)
            assert list(inbox.iterdir()) == []
            assert poll.bodies() == []
            assert len(poll.poller._remembered) == 0
        if move_to is not None:
            assert sorted(path.name for path in Path(move_to).iterdir()) == ["a", "b", "c"]
            assert (Path(move_to) / "a").read_text() == "1\n2\n"

    def test_a_crash_before_it_left_is_made_good(self, inbox: Path) -> None:
        write(inbox / "a", "1")
        with polling(inbox, after="delete") as poll:
            poll.page()
        with polling(inbox, poll.saved(), after="delete") as again:
            again.poller.settle(again.cursor)
            assert again.bodies() == []
        assert list(inbox.iterdir()) == []

    def test_a_file_that_is_changed_before_it_leaves_stays_and_comes_again(self, inbox: Path) -> None:
        path = write(inbox / "a", "1")
        with polling(inbox, after="delete") as poll:
            poll.page()
            write(path, "1", "2")
            poll.poller.settle(poll.cursor)
            poll.look_at_all()
            assert poll.bodies() == ["1", "2"]

    def test_the_folder_that_files_are_moved_to_is_not_read(self, inbox: Path) -> None:
        write(inbox / "x" / "a", "1")
        with polling(f"{inbox}/**", after="move", move_to=str(inbox / "done")) as poll:
            assert poll.bodies() == ["1"]
            poll.poller.settle(poll.cursor)
            assert (inbox / "done" / "a").exists()
            assert poll.bodies() == []

    def test_keep_becomes_delete_and_the_other_way_round(self, inbox: Path) -> None:
        write(inbox / "a", "1")
        with polling(inbox) as poll:
            poll.page()
        write(inbox / "b", "2")
        with polling(inbox, poll.saved(), after="delete") as poll:
            assert poll.bodies() == ["2"]
        with polling(inbox, poll.saved()) as again:
            again.poller.settle(again.cursor)
            assert again.bodies() == []
        assert len(list(inbox.iterdir())) == 2


def test_a_file_that_cannot_be_read_is_said_when_the_others_are_read(public: Path) -> None:
    closed = write(public / "a", "1", at=1)
    write(public / "b", "2", at=2)
    closed.chmod(0)
    with polling(public) as poll:
        with without_rights():
            assert poll.bodies() == ["2"]
            with pytest.raises(TransientError, match=f"{closed}: Permission denied"):
                poll.page()
        closed.chmod(0o644)
        assert poll.bodies() == ["1"]


def test_a_poll_that_failed_in_the_middle_is_made_again(inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(inbox / "a", "1", at=1)
    write(inbox / "b", "2", "3", at=2)
    with polling(inbox) as poll:
        take = poll.poller._take
        calls: list[Any] = []

        def fail_once(file: Any) -> Any:
            calls.append(file)
            if len(calls) == 2:
                msg = "it is cut off"
                raise TransientError(msg)
            return take(file)

        monkeypatch.setattr(poll.poller, "_take", fail_once)
        with pytest.raises(TransientError):
            poll.page()
        assert poll.bodies() == ["1", "2", "3"]


def test_files_that_are_gone_are_forgotten_and_an_unmounted_folder_is_not(inbox: Path) -> None:
    with polling(inbox) as poll:
        for number in range(3000):
            write(inbox / str(number), "x")
        assert len(poll.bodies()) == 3000
        big = len(str(poll.cursor))
        for number in range(3000):
            (inbox / str(number)).unlink()
        assert poll.bodies() == []
        assert len(poll.poller._remembered) == 3000, "perhaps it is not mounted"
        write(inbox / "new", "1")
        assert poll.bodies() == ["1"]
        assert len(poll.poller._remembered) == 1
        assert len(str(poll.cursor)) < big / 100
    with polling(inbox, poll.saved()) as again:
        assert again.bodies() == []


def test_names_of_any_bytes(inbox: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(inbox) + b"/\xff%41 \xc3\xa9.txt"))
    write(path, "1", "2")
    with polling(inbox, after="delete") as poll:
        (record,) = poll.page(1).records
        assert record.meta["name"] == "\\xff%41 é.txt"
    with polling(inbox, poll.saved(), after="delete") as again:
        assert again.bodies() == ["2"]
        again.poller.settle(again.saved())
    assert not path.exists()


def test_a_page_ends_at_eight_mebibytes(inbox: Path) -> None:
    write(inbox / "a", *["x" * 3_000_000] * 7)
    with polling(inbox) as poll:
        poll.bodies()
    assert [len(page.records) for page in poll.pages] == [3, 3, 1]


def test_garbage_is_one_dead_letter_for_each_row(inbox: Path) -> None:
    write(inbox / "a", "1", "{", "2", at=1)
    (inbox / "b").write_bytes(os.urandom(10) + b"\n3\n")
    with polling(inbox, format="json-lines") as poll:
        bodies = poll.bodies()
    assert [body for body in bodies if not isinstance(body, RecordError)] == [1, 2, 3]


def test_formats(inbox: Path) -> None:
    (inbox / "a.csv.gz").write_bytes(gzip.compress(b"id\n1\n2\n"))
    with polling(inbox / "*.gz", format="csv") as poll:
        assert poll.bodies(1) == [{"id": "1"}, {"id": "2"}]
    pq.write_table(pa.table({"id": [1, 2]}), inbox / "a.parquet")
    with polling(inbox / "*.parquet", format="parquet") as poll:
        assert poll.bodies(1) == [{"id": 1}, {"id": 2}]
    write(inbox / "a.json", '[{"id": 1},', '{"id": 2}]')
    with polling(inbox / "*.json", format={"json": {"items": True}}) as poll:
        assert poll.bodies(1) == [{"id": 1}, {"id": 2}]
    with polling(inbox / "*.gz", format="bytes", compression="none") as poll:
        assert poll.bodies() == [(inbox / "a.csv.gz").read_bytes()]
