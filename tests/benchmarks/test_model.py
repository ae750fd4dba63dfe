from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.model import FLOWS, Costs, Prediction, Setup, main, predict

COSTS = Costs(record=4.0, exchange=20.0)


def rates(setup: Setup, costs: Costs = COSTS) -> list[float]:
    return [predict(costs, replace(setup, workers=workers)).rate for workers in range(1, 13)]


@pytest.mark.parametrize(
    "setup",
    [
        Setup(cores=64),
        Setup(cores=64, cluster=False),
        Setup(cores=4),
        Setup(cores=64, partitions=3),
        Setup(cores=64, prefetch=1000),
    ],
    ids=["cluster", "replicas", "few cores", "few partitions", "prefetch"],
)
def test_more_workers_are_never_slower_once_there_are_several(setup: Setup) -> None:
    of_clusters = rates(setup)[1:]

    assert of_clusters == sorted(of_clusters)


def test_one_process_handles_what_its_cpu_can() -> None:
    assert predict(COSTS, Setup()) == Prediction(250_000.0, "worker", 2.0, 500)


def test_replicas_on_cores_of_their_own_add_up() -> None:
    alone, together = (predict(COSTS, Setup(workers, 8, cluster=False)) for workers in (1, 8))

    assert together.rate == 8 * alone.rate


def test_cores_are_the_bound_of_workers_and_of_a_server_beside_them() -> None:
    assert predict(COSTS, Setup(8, cores=2, cluster=False)).rate == 500_000
    assert predict(replace(COSTS, server=4.0), Setup(8, cores=2)).rate == 250_000
    assert predict(COSTS, Setup(8, cores=2)).bottleneck == "cores"


def test_more_workers_than_partitions_have_nothing_to_do() -> None:
    setup = Setup(3, cores=64, partitions=3)

    assert predict(COSTS, replace(setup, workers=9)) == replace(predict(COSTS, setup), bottleneck="partitions")


def test_prefetch_bounds_what_comes_in_an_epoch() -> None:
    bound = predict(COSTS, Setup(4, cores=64, prefetch=1000))

    assert bound.bottleneck == "prefetch"
    assert bound.rate == pytest.approx(4 * 1000 / (50 + COSTS.gate) * 1000)
    assert bound.in_flight == pytest.approx(4 * 1000)
    assert predict(COSTS, Setup(4, cores=64, prefetch=1000, cluster=False)).bottleneck == "worker"


def test_the_server_gives_no_more_to_more_workers() -> None:
    limited = replace(COSTS, limit=100_000.0)

    assert {predict(limited, Setup(workers, cores=64)).rate for workers in (1, 2, 8)} == {100_000.0}
    assert predict(limited, Setup(8, cores=64)).bottleneck == "server"


def test_keyed_records_cost_their_exchange_and_only_with_others() -> None:
    alone, two, eight = (predict(COSTS, Setup(workers, 64, remembers=True)) for workers in (1, 2, 8))

    assert alone.rate == pytest.approx(predict(COSTS, Setup()).rate * 100 / (100 + COSTS.gate))
    # Half of the records of two workers are the other's: 4 us become 14.
    assert two.rate == pytest.approx(2 * alone.rate * 4 / 14)
    assert eight.rate > two.rate


def test_where_one_worker_polls_more_do_not_help() -> None:
    alone, four = (predict(COSTS, Setup(workers, 64, partitions=1)) for workers in (1, 4))

    assert four.rate <= alone.rate
    assert four.bottleneck == "partitions"


def test_in_flight_is_rate_times_time() -> None:
    cluster = predict(COSTS, Setup(2, cores=2))
    remembering = predict(COSTS, Setup(2, cores=2, remembers=True))

    assert cluster.in_flight == pytest.approx(cluster.rate * (50 + COSTS.gate) / 1000)
    assert cluster.latency == pytest.approx(25 + COSTS.gate)
    assert remembering.latency == pytest.approx(50 + COSTS.gate)


def test_the_page_shows_what_the_model_says(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    table = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("|")]

    assert len(table) == len(FLOWS) + 2
    page = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    assert "\n".join(table) in page, "python -m benchmarks model"
