"""What a run says about its end, on however many workers."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.logs import LogFormat

__all__ = ["STOPPING", "STOPPING_AT_ONCE", "say_error"]

STOPPING = "stopping: draining what is under way (again to stop at once)"
STOPPING_AT_ONCE = "stopped at once; what was under way will come again"

_log = logging.getLogger("pipelines")


def say_error(message: str, log_format: LogFormat, cause: BaseException | None = None) -> None:
    """Say why a run failed, in one line; with its traceback where `cause` is given."""
    if log_format == "json":
        _log.error(message, exc_info=cause)
        return
    if cause is not None:
        traceback.print_exception(cause)
    print(f"error: {message}", file=sys.stderr)  # noqa: T201 - for the person, like the command line's own errors
