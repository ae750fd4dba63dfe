from __future__ import annotations

import os
from pathlib import Path

import pytest

from flowspec.errors import FatalError, RecordError, TransientError
from sinks.files import Append
from tests.sinks.ends import open_writer, records
from tests.sources.files.polling import without_rights


def test_each_record_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "out" / "orders.jsonl"
    writer = open_writer(Append(path=path))
    writer.write(records({"id": 1, "note": "two\nlines"}, [2], "é"))
    writer.write(records(None))
    writer.close()

    assert path.read_text() == '{"id":1,"note":"two\\nlines"}\n[2]\n"é"\nnull\n'


def test_a_line_end_in_a_text_is_a_failure_of_that_record(tmp_path: Path) -> None:
    path = tmp_path / "out.txt"
    batch = records("one", "two\nlines", 3, "four")
    writer = open_writer(Append(path=path, format="text"))

    failures = writer.write(batch)
    writer.close()

    assert [failure.record.body for failure in failures] == ["two\nlines", 3]
    assert all(isinstance(failure.error, RecordError) for failure in failures)
    assert path.read_text() == "one\nfour\n"


def test_a_full_disk_is_waited_for() -> None:
    writer = open_writer(Append(path=Path("/dev/full"), sync=False))

    with pytest.raises(TransientError, match="/dev/full: No space left on device"):
        writer.write(records(1))
    writer.close()


@pytest.mark.parametrize("in_the_way", ["directory", "file"])
def test_a_path_that_cannot_be_a_file_is_fatal(tmp_path: Path, in_the_way: str) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "file").write_text("")
    path = tmp_path / in_the_way if in_the_way == "directory" else tmp_path / "file" / "out.jsonl"
    writer = open_writer(Append(path=path))

    with pytest.raises(FatalError, match=str(path)):
        writer.write(records(1))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_forbidden_path_is_fatal(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)

    with pytest.raises(FatalError, match="Permission denied"):
        open_writer(Append(path=tmp_path / "out.jsonl")).write(records(1))


def test_a_check_says_whether_the_file_can_be_written_and_makes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out" / "orders.jsonl"
    assert Append(path=path).check() == f"folder {path.parent} can be made, where orders.jsonl is made"
    assert not path.parent.exists()
    path.parent.mkdir()
    assert Append(path=path).check() == f"folder {path.parent} can be written, where orders.jsonl is made"
    path.write_text("")
    assert Append(path=path).check() == f"{path} can be written"
    with pytest.raises(FatalError, match="is a folder; name a file in it"):
        Append(path=path.parent).check()
    with pytest.raises(FatalError, match=r"orders\.jsonl is not a folder"):
        Append(path=path / "more" / "more.jsonl").check()


def test_a_check_says_what_is_forbidden(public: Path) -> None:
    (public / "there.jsonl").write_text("")
    with without_rights():
        with pytest.raises(FatalError, match=r"there\.jsonl must not be read and written; let the user"):
            Append(path=public / "there.jsonl").check()
        with pytest.raises(FatalError, match=f"{public} must not be written; let the user"):
            Append(path=public / "new.jsonl").check()
        with pytest.raises(FatalError, match=f"out cannot be made: {public} must not be written"):
            Append(path=public / "out" / "new.jsonl").check()
