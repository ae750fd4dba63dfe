from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bytewax.errors import BytewaxRuntimeError
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.testing import run_main

from flowspec.compiler import compile_flow
from flowspec.errors import FatalError
from flowspec.expressions import Expression
from flowspec.records import Record
from flowspec.spec import FlowSpec
from flowspec.steps.base import Step
from flowspec.steps.filter import Filter
from flowspec.steps.map import Map
from flowspec.steps.split import Split
from tests.flowspec.delivery.memory import Journal, MemoryAction, MemoryTrigger, letters_of, run_of


def flow_spec(
    trigger: MemoryTrigger, sinks: dict[str, MemoryAction], steps: Sequence[Step] = (), name: str = "orders"
) -> FlowSpec:
    actions = [sink.model_copy(update={"id": key}) for key, sink in sinks.items()]
    return FlowSpec(name=name, trigger=trigger, steps=list(steps), sinks=actions)


def payloads(*raw: bytes | str) -> list[Record]:
    return [Record(one) for one in raw]


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_trigger_steps_and_sinks_are_one_flow(tmp_path: Path, journal: Journal) -> None:
    run = run_of(tmp_path)
    records = payloads(*(f'{{"id": {number}, "total": {number * 10}}}' for number in range(10)))
    spec = flow_spec(
        MemoryTrigger(journal=journal, records=records, batch_size=4, external_id=Expression("id")),
        {sink: MemoryAction(journal=journal) for sink in ("billing", "archive")},
        [
            Filter.model_validate({"id": "only-big", "filter": "total >= 50"}),
            Map.model_validate({"id": "cents", "map": {"cents": "total * 100", "order": "external_id"}}),
        ],
    )
    run_main(compile_flow(spec, run), epoch_interval=timedelta(0))
    run.close()

    expected = [{"cents": number * 1000, "order": str(number)} for number in range(5, 10)]
    assert journal.written("billing") == journal.written("archive") == expected
    assert journal.committed() == 10
    tally = run.tally
    assert (tally.received, tally.filtered, tally.delivered, tally.failed, tally.in_flight) == (10, 5, 10, 0, 0)


@pytest.mark.parametrize("batch_size", [1, 100])
def test_garbage_is_a_dead_letter_and_the_flow_goes_on(tmp_path: Path, journal: Journal, batch_size: int) -> None:
    run = run_of(tmp_path)
    records = payloads('{"id": 1}', b"\xff\xfe", "", "not json", '{"id": {"a": []}}', '"a text"', '{"id": 2}')
    spec = flow_spec(
        MemoryTrigger(journal=journal, records=records, batch_size=batch_size),
        {"billing": MemoryAction(journal=journal)},
        [Map.model_validate({"id": "double", "map": {"double": "id * 2"}})],
    )
    run_main(compile_flow(spec, run), epoch_interval=timedelta(0))
    run.close()

    assert journal.written("billing") == [{"double": 2}, {"double": 4}]
    assert [letter.step for letter in letters_of(run) if letter.step == "decode"] == ["decode"] * 3
    assert [letter.step for letter in letters_of(run) if letter.step == "double"] == ["double"] * 2
    assert run.tally.failed == 5
    assert journal.committed() == 7


def test_one_record_becomes_several(tmp_path: Path, journal: Journal) -> None:
    run = run_of(tmp_path)
    spec = flow_spec(
        MemoryTrigger(journal=journal, records=payloads('{"items": [1, 2]}', '{"items": []}', '{"items": [3]}')),
        {"billing": MemoryAction(journal=journal)},
        [Split.model_validate({"id": "each", "split": "items"})],
    )
    run_main(compile_flow(spec, run), epoch_interval=timedelta(0))
    run.close()
    assert journal.written("billing") == [1, 2, 3]
    assert journal.committed() == 3


@pytest.mark.parametrize(
    ("name", "allowed"), [("orders.to.billing", "orders-to-billing"), ("orders_2.1", "orders_2-1")]
)
def test_any_name_becomes_one_that_bytewax_takes(tmp_path: Path, journal: Journal, name: str, allowed: str) -> None:
    spec = flow_spec(MemoryTrigger(journal=journal, records=[]), {"billing": MemoryAction(journal=journal)}, name=name)
    assert compile_flow(spec, run_of(tmp_path)).flow_id == allowed


def test_a_failing_sink_loses_nothing_behind_twenty_steps(tmp_path: Path) -> None:
    store = tmp_path / "recovery"
    store.mkdir()
    init_db_dir(store, 1)
    written: list[Any] = []

    def execute(poison: dict[Any, Exception]) -> None:
        journal = Journal(watch=lambda event: written.extend(event.detail) if event.what == "write" else None)
        spec = flow_spec(
            MemoryTrigger(journal=journal, records=payloads(*map(str, range(100))), batch_size=1),
            {"billing": MemoryAction(journal=journal, poison=poison)},
            [Filter.model_validate({"filter": "body >= 0"})] * 20,
        )
        flow = compile_flow(spec, run_of(tmp_path))
        run_main(flow, epoch_interval=timedelta(0), recovery_config=RecoveryConfig(str(store)))

    with pytest.raises(BytewaxRuntimeError):
        execute({50: FatalError("disk full")})
    assert written == list(range(50))
    execute({})
    assert sorted(set(written)) == list(range(100))
