"""Which worker of a cluster on several machines a process is: from options, or from the variables of Bytewax."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

__all__ = ["Membership", "membership"]

_ADDRESS = re.compile(r"(?P<host>\[[^\[\]\s]+\]|[^:\[\]\s]+):(?P<port>[0-9]{1,5})", re.ASCII)
_HIGHEST_PORT = 65_535
_FEWEST = 2
"""Workers that need each other's addresses."""


@dataclass(frozen=True)
class Membership:
    """A worker of a cluster, and where all of them are. Picklable."""

    worker: int
    addresses: tuple[str, ...]

    @property
    def is_alone(self) -> bool:
        """Whether there are no others to meet."""
        return len(self.addresses) < _FEWEST

    @property
    def own(self) -> tuple[str, int]:
        """Host and port where this worker listens."""
        return host_and_port(self.addresses[self.worker])

    def name(self, worker: int) -> str:
        """A worker, as people are told of it."""
        return f"worker {worker} at {self.addresses[worker]}"


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of an address that is known to be one."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def membership(process_id: int | None, addresses: str | None, environment: Mapping[str, str]) -> Membership | None:
    """Which worker this process is; None where it is not one of several.

    Where an option is missing, the variables say it that Bytewax's own command line reads, and its charts set.

    Args:
        process_id: The number of the worker, from 0.
        addresses: `host:port` of each worker, separated by semicolons.
        environment: Where the variables are.

    Raises:
        click.UsageError: one of the two is missing or wrong; says what to do.
    """
    if process_id is None:
        process_id = _ordinal(environment)
    hosts = environment.get("BYTEWAX_HOSTFILE_PATH")
    if addresses is None and hosts:
        addresses = _lines(Path(hosts))
    if process_id is None and addresses is None:
        return None
    if process_id is None:
        msg = (
            "the addresses of a cluster are given, but not which of them this process is: add --process-id, from 0 for "
            "the first, or set BYTEWAX_PROCESS_ID, or BYTEWAX_POD_NAME and BYTEWAX_STATEFULSET_NAME"
        )
        raise click.UsageError(msg)
    if addresses is None:
        msg = (
            f"this process is worker {process_id} of a cluster, but where the workers are is not given: add "
            "--addresses 'host:port;host:port', or set BYTEWAX_ADDRESSES, or BYTEWAX_HOSTFILE_PATH for a file of them"
        )
        raise click.UsageError(msg)
    return _checked(process_id, tuple(each.strip() for each in addresses.split(";") if each.strip()))


def _checked(process_id: int, addresses: tuple[str, ...]) -> Membership:
    for address in addresses:
        match = _ADDRESS.fullmatch(address)
        if match is None or not 0 < int(match["port"]) <= _HIGHEST_PORT:
            msg = (
                f"{address!r} is no address of a worker; write host:port for each, separated by semicolons, such as "
                "'10.0.0.1:2101;10.0.0.2:2101'"
            )
            raise click.UsageError(msg)
        if addresses.count(address) > 1:
            msg = f"two workers cannot both be at {address}; give each an address of its own"
            raise click.UsageError(msg)
    if not 0 <= process_id < len(addresses):
        count = "is 1 address" if len(addresses) == 1 else f"are {len(addresses)} addresses"
        highest = max(len(addresses) - 1, 0)
        msg = f"--process-id {process_id} is not one of 0 to {highest}: there {count} ({'; '.join(addresses)})"
        raise click.UsageError(msg)
    return Membership(process_id, addresses)


def _ordinal(environment: Mapping[str, str]) -> int | None:
    """The number at the end of a pod's name, where a StatefulSet has made it."""
    pod, group = environment.get("BYTEWAX_POD_NAME"), environment.get("BYTEWAX_STATEFULSET_NAME")
    if not pod or not group:
        return None
    ordinal = pod.removeprefix(f"{group}-")
    if ordinal == pod or not (ordinal.isascii() and ordinal.isdigit()):
        msg = (
            f"BYTEWAX_POD_NAME is {pod!r}, which is no pod of the StatefulSet {group!r} that BYTEWAX_STATEFULSET_NAME "
            f"names: such a one is {group}-0"
        )
        raise click.UsageError(msg)
    return int(ordinal)


def _lines(path: Path) -> str:
    try:
        return ";".join(path.read_text().split())
    except (OSError, UnicodeDecodeError) as error:
        msg = f"the addresses cannot be read from the file that BYTEWAX_HOSTFILE_PATH names: {error}"
        raise click.UsageError(msg) from None
