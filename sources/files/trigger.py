"""files / new-files: the spec model of the trigger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AwareDatetime, Field, model_validator

from flowspec.fields import Duration
from flowspec.polling import PollingTrigger
from sources.contents import MAX_ROW, Compression, FormatField, MaxRowField, content_format

if TYPE_CHECKING:
    from flowspec.connectors import WorkerContext
    from flowspec.polling import Poller
    from flowspec.records import Record

__all__ = ["NewFiles"]


class NewFiles(PollingTrigger):
    """New Files: starts the flow for each row of the files that come into a folder, or that grow in it.

    At-least-once. Files are read the oldest first, and a flow that ends in the middle of one goes on at the row. A file
    is known by its inode, size and time of change, not by its name or by what is newer than what: a renamed file does
    not come again, one that comes late with an old time is not missed, and one that is changed comes again as a whole.
    The price is a memory of eight bytes for each file that is there; in a folder with more than 100,000 of them, have
    `after` be `move` or `delete`. Where a file system gives files other inodes after each mount, all of them are new.

    With `grow`, what is written to the end of files is read as it comes, like `tail -F`. A file that is renamed in its
    folder is followed, and read to its end before the one that takes its name; one that was cut or written anew is read
    from its beginning. What is renamed twice between two polls, or while the flow is stopped, is found only if `path`
    matches its new name as well, as `app.log*` does; compressed copies (`*.gz`) are left out.

    In steps, `meta` has `path`, `name`, `inode`, `size` and `modified_at` of the file, the number of the `row`, counted
    from 1, and the `offset` of its first byte.
    """

    identified_by = ("path", "inode", "size", "modified_at", "row")

    connector: Annotated[Literal["files"], Field(description="Files of this machine.", examples=["files"])] = "files"
    event: Annotated[
        Literal["new-files"], Field(description="Each row of new or growing files.", examples=["new-files"])
    ] = "new-files"
    account: Annotated[None, Field(description="Files need no account.", examples=[None])] = None
    path: Annotated[
        str,
        Field(
            min_length=1,
            description="A folder, whose own files are read, or a pattern: `*` and `?` stand for characters of a name, "
            "`**` for any folders below one another. Hidden files are left out unless the pattern has their dot, and "
            "`*.tmp` and `*.part` unless it has their ending. A folder that is not there yet is waited for.",
            examples=["inbox", "inbox/**/*.csv"],
        ),
    ]
    format: FormatField = "json-lines"
    compression: Compression = "auto"
    max_row: MaxRowField = MAX_ROW
    since: Annotated[
        Literal["now", "beginning"] | AwareDatetime,
        Field(
            description="Where a flow begins that has no saved cursor: with all files at the `beginning`, with what "
            "comes from `now` on, or with files that were changed at a time or later.",
            examples=["now", "2024-05-01T00:00:00Z"],
        ),
    ] = "beginning"
    settle_time: Annotated[
        Duration,
        Field(
            ge=0,
            le=86_400,
            description="How long a file must have stayed as it is before it is read, so that none is read which is "
            "still being written. At 0 files are read at once: then they have to be renamed into the folder.",
            examples=["10s"],
        ),
    ] = 1.0
    grow: Annotated[
        bool,
        Field(
            description="Whether files are logs, to whose end more is written: each new line is a record when it has "
            "its end.",
            examples=[True],
        ),
    ] = False
    after: Annotated[
        Literal["keep", "move", "delete"],
        Field(
            description="What becomes of a file when all of its rows are delivered. One that was changed meanwhile "
            "stays, and comes again.",
            examples=["move"],
        ),
    ] = "keep"
    move_to: Annotated[
        str | None,
        Field(
            min_length=1,
            description="The folder that files are moved to; it is made. A name that is taken gets a number.",
            examples=["inbox/done"],
        ),
    ] = None

    @model_validator(mode="after")
    def _fields_agree(self) -> NewFiles:
        form = content_format(self.format)
        if (self.after == "move") != (self.move_to is not None):
            msg = "`after: move` and `move_to` need each other"
            raise ValueError(msg)
        if self.move_to is not None and Path(self.move_to).absolute() == Path(self.path).absolute():
            msg = f"files cannot be moved to {self.move_to}, where they come from"
            raise ValueError(msg)
        if self.grow and self.after != "keep":
            msg = f"files that grow are never read to their end, so `after` cannot be {self.after!r}"
            raise ValueError(msg)
        if self.grow and not form.can_grow:
            msg = f"format {form.called!r} cannot be read while a file grows; use json-lines, text or csv, or no `grow`"
            raise ValueError(msg)
        if self.grow and self.compression == "gzip":
            msg = "compressed files cannot be read while they grow"
            raise ValueError(msg)
        return self

    def cursor_basis(self) -> dict[str, Any]:
        """A cursor is good for a path, and for files that grow, of one format, or that do not."""
        form = content_format(self.format).called
        return {"path": self.path, "grow": form if self.grow else False}

    def identity(self, record: Record) -> str | None:
        """The file, as it was, and the row; None for files that grow, which may be cut, and written anew."""
        return None if self.grow else super().identity(record)

    def check(self) -> str:
        """See that the folder and its files may be read, and that files may be moved or deleted if they are to be."""
        from sources.files.checking import check_files

        return check_files(self)

    def poller(self, since: Any, context: WorkerContext) -> Poller:
        """What reads the files."""
        if self.grow:
            from sources.files.growing import GrowingFilesPoller

            return GrowingFilesPoller(self, since)
        from sources.files.whole import WholeFilesPoller

        return WholeFilesPoller(self, since)
