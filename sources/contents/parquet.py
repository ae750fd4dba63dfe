"""The format parquet: each row of a Parquet file is a record."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Annotated, BinaryIO, ClassVar

import orjson
from pydantic import Field

from flowspec.errors import MissingDependencyError, RecordError
from flowspec.formats import FormatWithOptions
from flowspec.model import SpecModel
from sources.contents.contract import Content, ContentFormat, Resume, Row, Rows, spoilt

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = ["Parquet", "ParquetRows"]

_ROWS = 512
"""How many rows are decoded at once."""
_BUFFER = 1024 * 1024
"""Bytes of a column that are read at once."""


class Parquet(SpecModel):
    """Options of the format parquet."""

    columns: Annotated[
        list[str] | None,
        Field(
            min_length=1,
            description="The columns to read; by default all of them. `a.b` is a field of a structure.",
            examples=[["order_id", "total"]],
        ),
    ] = None


class ParquetRows(FormatWithOptions, ContentFormat):
    """Rows of a Parquet file; one row group is read at a time, in pieces."""

    called: ClassVar[str] = "parquet"
    parquet: Annotated[
        Parquet, Field(description="Options of the format parquet.", examples=[{"columns": ["order_id", "total"]}])
    ]

    def rows(self, content: Content, resume: Resume | None) -> Rows:
        """A row for each of the file."""
        try:
            import pyarrow as pa
            import pyarrow.parquet as pq

            from sources.contents.arrow import bodies
        except ImportError:
            raise MissingDependencyError(connector="parquet", extra="parquet") from None
        if resume is not None and "group" not in resume:
            return
        resume = resume or {"group": 0, "row": 0}
        group, skip, number = resume["group"], resume["row"], 0
        with _seekable(content) as file:
            try:
                source = pq.ParquetFile(
                    file,
                    buffer_size=_BUFFER,
                    pre_buffer=False,
                    coerce_int96_timestamp_unit="us",
                    page_checksum_verification=True,
                )
                _check(self.parquet.columns, source.schema_arrow.names)
                number = sum(source.metadata.row_group(each).num_rows for each in range(group)) + skip
                for each in range(group, source.metadata.num_row_groups):
                    batches = _batches(source, each, skip, self.parquet.columns)
                    for place, body in enumerate(chain.from_iterable(map(bodies, batches)), skip + 1):
                        number += 1
                        raw = b"" if isinstance(body, RecordError) else orjson.dumps(body)
                        yield Row(raw, body, number, None, {"group": each, "row": place})
                    skip = 0
            except RecordError as error:
                yield spoilt(error, number + 1, None)
            except (pa.ArrowException, OSError) as error:
                # Those of the system have a number.
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                yield spoilt(RecordError(f"the content is not parquet: {error}"), number + 1, None)


def _batches(source: pq.ParquetFile, group: int, skip: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The rows of a row group behind the first `skip`."""
    for batch in source.iter_batches(_ROWS, row_groups=[group], columns=columns, use_threads=False):
        if skip < batch.num_rows:
            yield batch.slice(skip)
        skip = max(0, skip - batch.num_rows)


def _check(columns: list[str] | None, there: list[str]) -> None:
    for column in columns or ():
        if column not in there and column.partition(".")[0] not in there:
            msg = f"the content has no column {column!r}, but {', '.join(there)[:500]}"
            raise RecordError(msg)


@contextmanager
def _seekable(content: Content) -> Iterator[BinaryIO]:
    """The content as a file in which one can go back, as this format needs it: its table of contents is at the end."""
    stream = content.open_at(0)
    if not content.compressed and stream.seekable():
        with stream:
            yield stream
        return
    stream.close()
    # On the disk, for it may be large.
    with tempfile.TemporaryFile() as file:
        with content.reading() as reading:
            while piece := reading.read(_BUFFER):
                file.write(piece)
        file.seek(0)
        yield file
