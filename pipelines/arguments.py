"""Arguments and options that several commands have."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

__all__ = ["ACCOUNTS", "SPEC", "STATE_DIR", "seconds", "since"]

SPEC = click.argument("spec", type=click.Path(path_type=Path))
ACCOUNTS = click.option("--accounts", type=click.Path(path_type=Path), help="The file of the accounts.")
STATE_DIR = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".pipelines"),
    show_default=True,
    help="Where dead letters, journal, cursors and logs are kept.",
)


def seconds(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """The callback of an option that is a duration."""
    if value is None:
        return None
    from pydantic import TypeAdapter, ValidationError

    from flowspec.fields import Duration

    try:
        duration: float = TypeAdapter(Duration).validate_python(value)
    except ValidationError:
        duration = math.nan
    if not 0 <= duration < math.inf:
        msg = f"{value!r} is not a duration; write a number of seconds, or '250ms', '5s', '10m', '1h'"
        raise click.BadParameter(msg)
    return duration


def since(what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `--since`, seconds since the epoch; `what` says of which things only the later ones are meant."""
    return click.option(
        "--since",
        metavar="TIME",
        callback=_moment,
        help=f"Only {what} since then: 2h, 7d, or 2026-01-31T10:00Z; UTC where it has no offset.",
    )


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> float | None:
    """Seconds since the epoch, of a time or of a duration before now."""
    if value is None:
        return None
    from pydantic import TypeAdapter, ValidationError

    from flowspec.fields import Duration

    try:
        return time.time() - float(TypeAdapter(Duration).validate_python(value))
    except ValidationError:
        pass
    try:
        # Python 3.10 knows no Z.
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", value))
    except ValueError:
        msg = f"{value!r} is neither a duration like '2h' or '7d' nor a time like '2026-01-31T10:00Z'"
        raise click.BadParameter(msg) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
