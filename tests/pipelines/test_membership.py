"""Which worker of a cluster a process is."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from pipelines.membership import Membership, host_and_port, membership
from tests.pipelines.commands import pipelines
from tests.pipelines.flows import ENVIRONMENT

ADDRESSES = "a.orders:2101;b.orders:2101;c.orders:2101"
POD = {"BYTEWAX_POD_NAME": "orders-2", "BYTEWAX_STATEFULSET_NAME": "orders"}
SPEC = '{"name": "orders", "trigger": {"connector": "files", "path": "*.jsonl"}, "sink": {"connector": "stdout"}}'


def test_a_process_on_its_own() -> None:
    assert membership(None, None, {}) is None
    assert membership(None, None, {"BYTEWAX_POD_NAME": "orders-2"}) is None, "as Bytewax reads it"


def test_options() -> None:
    member = membership(1, ADDRESSES, {})
    assert member == Membership(1, ("a.orders:2101", "b.orders:2101", "c.orders:2101"))
    assert member.own == ("b.orders", 2101)
    assert member.name(2) == "worker 2 at c.orders:2101"
    assert not member.is_alone


def test_the_number_is_that_of_the_pod() -> None:
    member = membership(None, ADDRESSES, POD)
    assert member is not None
    assert member.worker == 2
    assert membership(0, ADDRESSES, POD) == Membership(0, member.addresses), "an option wins"
    of_many = {"BYTEWAX_POD_NAME": "a-a-11", "BYTEWAX_STATEFULSET_NAME": "a-a"}
    found = membership(None, ";".join(f"a-{number}:1" for number in range(12)), of_many)
    assert found is not None
    assert found.worker == 11


def test_addresses_come_from_the_file_of_hosts(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("orders-0.orders.default.svc.cluster.local:9999\n\n  orders-1.orders:9999  \norders-2:9999\n")
    member = membership(None, None, {**POD, "BYTEWAX_HOSTFILE_PATH": str(hosts)})
    assert member is not None
    assert member.addresses[1:] == ("orders-1.orders:9999", "orders-2:9999")
    given = membership(0, "a:1", {"BYTEWAX_HOSTFILE_PATH": str(hosts)})
    assert given is not None
    assert given.addresses == ("a:1",)
    assert given.is_alone


def test_addresses_of_every_sort() -> None:
    member = membership(0, "[fe80::1]:2101; 10.0.0.2:2102 ;", {})
    assert member is not None
    assert [host_and_port(address) for address in member.addresses] == [("fe80::1", 2101), ("10.0.0.2", 2102)]


@pytest.mark.parametrize(
    ("process_id", "addresses", "environment", "said"),
    [
        (3, ADDRESSES, {}, "--process-id 3 is not one of 0 to 2: there are 3 addresses"),
        (-1, "a:1", {}, "--process-id -1 is not one of 0 to 0: there is 1 address"),
        (0, "a:1;b", {}, "'b' is no address of a worker; write host:port for each"),
        (0, "a:1,b:1", {}, "'a:1,b:1' is no address"),
        (0, "a:0", {}, "'a:0' is no address"),
        (0, "a:65536", {}, "'a:65536' is no address"),
        (0, "::1:2101", {}, "'::1:2101' is no address"),
        (0, "a:1;b:1;a:1", {}, "two workers cannot both be at a:1"),
        (0, ";", {}, "there are 0 addresses"),
        (0, None, {}, "add --addresses 'host:port;host:port', or set BYTEWAX_ADDRESSES"),
        (None, "a:1;b:1", {}, "add --process-id, from 0 for the first, or set BYTEWAX_PROCESS_ID"),
        (None, "a:1", {"BYTEWAX_POD_NAME": "x-1", "BYTEWAX_STATEFULSET_NAME": "y"}, "such a one is y-0"),
        (0, None, {"BYTEWAX_HOSTFILE_PATH": "/no/where"}, "BYTEWAX_HOSTFILE_PATH names: "),
    ],
)
def test_mistakes_say_what_to_do(
    process_id: int | None, addresses: str | None, environment: dict[str, str], said: str
) -> None:
    with pytest.raises(click.UsageError) as caught:
        membership(process_id, addresses, environment)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--process-id", "0"), "--addresses"),
        (("--addresses", "a:1"), "--process-id"),
        (("--process-id", "2", "--addresses", "a:1;b:1"), "is not one of 0 to 1"),
        (("--process-id", "0", "--addresses", "a:1;b:1", "--workers", "2"), "it cannot have --workers of its own"),
        (("--process-id", "0", "--addresses", "a:1;b:1", "--limit", "3"), "--limit counts in each process"),
        (("--restart", "on-failure", "--limit", "3"), "--limit counts anew after a restart"),
        (("--restart", "always"), "write no, on-failure"),
    ],
)
def test_mistakes_of_use_end_at_once(tmp_path: Path, options: tuple[str, ...], said: str) -> None:
    (tmp_path / "spec.json").write_text(SPEC)
    answer = pipelines(tmp_path, "run", "spec.json", *options)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert "Traceback" not in answer.stderr


def test_variables_are_read_like_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "spec.json").write_text(SPEC)
    monkeypatch.setitem(ENVIRONMENT, "BYTEWAX_PROCESS_ID", "7")
    monkeypatch.setitem(ENVIRONMENT, "BYTEWAX_ADDRESSES", "a:1;b:1")
    answer = pipelines(tmp_path, "run", "spec.json")
    assert answer.returncode == 2
    assert "--process-id 7 is not one of 0 to 1" in answer.stderr
