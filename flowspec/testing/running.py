"""Running a test: the compiled flow, in this process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from flowspec.connectors import StreamTrigger
from flowspec.expressions.clock import fixed_clock
from flowspec.formats import encoder
from flowspec.records import Record
from flowspec.spec import FlowSpec
from flowspec.stateful.contract import JoiningStep
from flowspec.testing.ends import unconnected
from flowspec.testing.model import Given, SpecTest

if TYPE_CHECKING:
    from flowspec.connectors import Trigger
    from flowspec.deadletters.letter import DeadLetter

__all__ = ["Letter", "Outcome", "run_test"]

_encode_json = encoder("json")


@dataclass(frozen=True)
class Letter:
    """A record that was given up."""

    step: str
    error: str
    external_id: str | None

    def __str__(self) -> str:
        return f"{self.step}: {self.error}"


@dataclass
class Outcome:
    """What a flow made of the records of a test."""

    sinks: dict[str, list[Any]]
    """The bodies, by the ids of the sinks."""
    dead_letters: list[Letter] = field(default_factory=list)
    external_ids: list[str] = field(default_factory=list)
    filtered: int = 0
    stops: str | None = None
    """The error that stopped the flow."""


def run_test(spec: FlowSpec, test: SpecTest) -> Outcome:
    """Run the records of a test through a flow; what its functions print goes to stderr.

    Raises:
        MissingDependencyError: a step or format needs a package that is not installed.
    """
    from bytewax.testing import run_main

    from flowspec.compiler import compile_flow, epoch_interval
    from flowspec.delivery.run import FlowRun

    outcome = Outcome({name: [] for name, _ in spec.named_sinks()})
    records = [_record(spec.trigger, given) for given in test.given]
    joined = {
        name: [_record(step.other, given) for given in test.joined.get(name, [])]
        for name, step in spec.named_steps()
        if isinstance(step, JoiningStep)
    }
    flow = unconnected(spec, records, joined, outcome.sinks, test.answers)
    with TemporaryDirectory() as state_dir, fixed_clock(test.clock):
        run = FlowRun(flow.name, Path(state_dir))
        run.dead_letters = _Letters(outcome.dead_letters)
        try:
            dataflow = compile_flow(flow, run)
            with _without_backtraces(), redirect_stdout(sys.stderr):
                run_main(dataflow, epoch_interval=epoch_interval(run))
        except BaseException:  # Rust's panics are no Exceptions.
            if run.failure is None:
                raise
            outcome.stops = f"{run.failure.where}: {run.failure.error}"
        finally:
            run.close()
    outcome.external_ids = [record.external_id for record in records if record.external_id is not None]
    outcome.filtered = run.tally.filtered
    return outcome


class _Letters:
    """Keeps dead letters as a list."""

    def __init__(self, letters: list[Letter]) -> None:
        self._letters = letters

    def add(self, letters: Sequence[DeadLetter]) -> None:
        self._letters += [Letter(each.step, str(each.error), each.record.external_id) for each in letters]

    def close(self) -> None:
        """Nothing is held."""


def _record(trigger: Trigger, given: Given) -> Record:
    headers, meta = dict(given.headers), dict(given.meta)
    raw = _encode_json(given.body) if given.content is None else given.content
    body = None if isinstance(trigger, StreamTrigger) else given.body
    return Record(raw, body, meta, given.key, headers)


@contextmanager
def _without_backtraces() -> Iterator[None]:
    """Keep what Rust prints of a flow that stops, past Python's streams, from the terminal."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    stream = sys.stderr
    try:
        if _is_descriptor_2(stream):
            sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=stream.encoding, errors=stream.errors)
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
        if sys.stderr is not stream:
            sys.stderr.close()
            sys.stderr = stream


def _is_descriptor_2(stream: Any) -> bool:
    try:
        return bool(stream.fileno() == 2)  # noqa: PLR2004
    except (OSError, ValueError):
        return False
