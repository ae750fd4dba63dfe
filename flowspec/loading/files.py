"""Files as text."""

from __future__ import annotations

from pathlib import Path

from flowspec.loading.problems import Problem, SpecError

__all__ = ["read_text"]


def read_text(file: Path) -> str:
    """The text of a file.

    Raises:
        SpecError: it cannot be read, or is not text.
    """
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise _refused(file, "there is no such file") from None
    except IsADirectoryError:
        raise _refused(file, "this is a directory", "name a file in it") from None
    except OSError as error:
        raise _refused(file, f"cannot be read: {error.strerror or error}") from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(file, "the file is not UTF-8 text", "save it as UTF-8", line) from None


def _refused(file: Path, message: str, hint: str | None = None, line: int = 0) -> SpecError:
    return SpecError([Problem(str(file), "", line, 1 if line else 0, message, hint)])
