"""`pipelines run`."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from pipelines.arguments import ACCOUNTS, SPEC, STATE_DIR, seconds

if TYPE_CHECKING:
    from pipelines.options import RunOptions
    from pipelines.restarts import RestartPolicy

__all__ = ["command"]

_ADDRESS = re.compile(r"(?:(?P<host>\[[^\[\]]+\]|[^:\[\]]*):)?(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65_535


def _address(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    match = _ADDRESS.fullmatch(value)
    if match is None or int(match["port"]) > _HIGHEST_PORT:
        msg = f"{value!r} is no address; write a port, such as 9100, or host:port, such as 0.0.0.0:9100"
        raise click.BadParameter(msg)
    return (match["host"] or "127.0.0.1").strip("[]"), int(match["port"])


def _policy(_ctx: click.Context, _param: click.Parameter, value: str) -> RestartPolicy:
    from flowspec.errors import FlowError
    from pipelines.restarts import RestartPolicy

    try:
        return RestartPolicy.parse(value)
    except FlowError as error:
        raise click.BadParameter(str(error)) from None


@click.command("run")
@SPEC
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes that share the work."
)
@click.option(
    "--restart",
    metavar="POLICY",
    callback=_policy,
    default="no",
    show_default=True,
    help="What to do when a worker fails: no, or on-failure, to start all anew, or on-failure:MAX, so often in a row.",
)
@click.option(
    "--process-id",
    type=int,
    metavar="NUMBER",
    envvar="BYTEWAX_PROCESS_ID",
    help="Be this worker, from 0, of a cluster whose processes are started one by one, as in containers.",
)
@click.option(
    "--addresses",
    metavar="HOST:PORT;HOST:PORT",
    envvar="BYTEWAX_ADDRESSES",
    help="Where the workers of that cluster are, in the order of their numbers.",
)
@STATE_DIR
@ACCOUNTS
@click.option(
    "--until-idle",
    metavar="SECONDS",
    callback=seconds,
    help="Stop when nothing came for that long and everything is delivered.",
)
@click.option("--limit", type=click.IntRange(1), help="Stop after that many records.")
@click.option(
    "--drain-timeout",
    metavar="SECONDS",
    callback=seconds,
    default="8",
    show_default=True,
    help="How long a stop may take; what is not delivered then comes again.",
)
@click.option(
    "--status",
    type=click.Choice(["auto", "live", "json", "off"]),
    default="auto",
    show_default=True,
    help="How to show the run on stderr; auto is live on a terminal, off otherwise.",
)
@click.option(
    "--http",
    metavar="[HOST:]PORT",
    callback=_address,
    help="Serve /metrics for Prometheus, /healthz, /readyz and /status there; the host is 127.0.0.1 by default.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Log lines for people, or JSON objects.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log debug messages, and show where an error came from.")
def command(**options: Any) -> None:
    """Run the flow of SPEC until it is stopped.

    The first SIGTERM or Ctrl-C delivers what is under way, the second stops at once.
    """
    from pipelines.membership import membership
    from pipelines.options import RunOptions

    member = membership(options.pop("process_id"), options.pop("addresses"), os.environ)
    if member is not None:
        if options["workers"] > 1:
            msg = (
                f"this process is worker {member.worker} of a cluster of {len(member.addresses)}, so it cannot have "
                "--workers of its own; start a process for each address"
            )
            raise click.UsageError(msg)
        options["workers"] = len(member.addresses)
    if options["limit"] is not None and options["workers"] > 1:
        msg = "--limit counts in each process, so it cannot be used with several workers; leave out one of them"
        raise click.UsageError(msg)
    if options["limit"] is not None and options["restart"].most != 0:
        msg = "--limit counts anew after a restart, so it cannot be used with --restart; leave out one of them"
        raise click.UsageError(msg)
    sys.exit(_run(RunOptions(**options, membership=member)))


def _run(options: RunOptions) -> int:
    if options.workers > 1 or options.restart.most != 0:
        from pipelines.cluster import run_cluster

        return run_cluster(options)
    from pipelines.single import run_single

    return run_single(options)
