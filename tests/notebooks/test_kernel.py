"""Flows that run in the background of a kernel, as a notebook shows them."""

from __future__ import annotations

from typing import Any

from nbformat.v4 import new_code_cell, new_notebook

from tests.notebooks.executed import run_cells

FLOW = """
from pathlib import Path
from flowspec import Flow

Path("orders.jsonl").write_text('{"id": 1, "total": 5}\\n{"id": 2}\\n')
flow = Flow("orders").trigger("files", path="orders.jsonl", settle_time=0)
"""


def outputs(*cells: str) -> list[list[Any]]:
    notebook = run_cells(new_notebook(cells=[new_code_cell(cell) for cell in cells]))
    return [cell.outputs for cell in notebook.cells]


def test_the_counts_that_are_shown_grow() -> None:
    shown = outputs(
        FLOW,
        """
        import time
        endless = flow.sink("drop").run()
        display(endless)
        seen = time.monotonic()
        while endless.tally.delivered < 2:
            time.sleep(0.02)
        for thread in __import__("threading").enumerate():
            if thread.name == "flow-counts":
                endless.stop()
                thread.join()
        """,
    )[1]
    assert [output.output_type for output in shown] == ["display_data"]
    assert shown[0].data["text/plain"] == "orders stopped (2 received, 2 delivered, 0 filtered, 0 failed)"
    assert "<td" in shown[0].data["text/html"]


def test_a_failure_is_said_once_and_without_the_noise_of_rust() -> None:
    _, started, waited = outputs(
        FLOW,
        'failing = flow.filter("total > 1", on_error="stop").sink("drop").run()\nfailing._ended.wait();',
        "try:\n    failing.wait()\nexcept Exception as error:\n    print(type(error).__name__, error)\nfailing",
    )
    said = "filter-1: missing field 'total'"
    assert all("panicked" not in str(output) for output in (*started, *waited))
    log = "".join(output.text for output in started if output.output_type == "stream")
    assert log.count(said) == 1
    assert waited[0].text.startswith(f"RunFailedError {said}")
    assert waited[1].data["text/plain"].startswith(f"orders failed: {said}")


def test_what_is_printed_in_a_notebook_stays_there_while_a_flow_runs() -> None:
    shown = outputs(FLOW, 'endless = flow.sink("drop").run()\nprint("here")\nendless.stop()')[1]
    assert shown[0].name == "stdout"
    assert shown[0].text == "here\n"


def test_a_kernel_ends_with_a_flow_that_still_runs() -> None:
    assert outputs(FLOW, 'endless = flow.sink("drop").run()')
