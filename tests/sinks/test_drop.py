from __future__ import annotations

from sinks.drop import Drop
from tests.sinks.ends import open_writer, records


def test_everything_is_let_go() -> None:
    writer = open_writer(Drop())

    assert list(writer.write(records({"a": 1}, object()))) == []
    writer.close()


def test_what_cannot_be_encoded_is_named() -> None:
    batch = records("text", 5)
    writer = open_writer(Drop(format="text"))

    (failure,) = writer.write(batch)

    assert failure.record is batch[1]
    assert "format 'text' needs a text as body, not int" in str(failure.error)
