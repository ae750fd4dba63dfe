"""What `make brokers` prints can be pasted, and what it starts ends with it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pipelines.flows import eventually
from tests.servers.process import listens


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_brokers_to_play_with(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-m", "tests.brokers"]
    environment = {**os.environ, "TMPDIR": str(tmp_path_factory.mktemp("data"))}
    with (
        (tmp_path / "errors").open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as brokers,
        ExitStack() as stack,
    ):
        # One that fails must not be waited for.
        stack.callback(brokers.kill)
        assert brokers.stdout is not None
        printed = "".join(iter(brokers.stdout.readline, "Ctrl-C ends them, and what they have is gone.\n"))
        ports = {int(port) for port in re.findall(r"127\.0\.0\.1:(\d+)", printed)}
        assert ports
        assert all(listens(port) for port in ports)
        accounts, triggers = printed[printed.index("[") :].split("# the trigger of a spec, one or another\n")
        (tmp_path / "accounts.toml").write_text(accounts)
        specs = []
        for number, trigger in enumerate(re.findall('"trigger": .*', triggers)):
            specs.append(tmp_path / f"{number}.json")
            specs[-1].write_text('{"name": "orders", ' + trigger + ', "sink": {"connector": "drop"}}')
        assert len(specs) == accounts.count("[")

        brokers.send_signal(end)

        assert brokers.wait(60) == (0 if end is signal.SIGINT else -end)
    eventually(lambda: not any(listens(port) for port in ports), "all of them have ended")
    validate = [sys.executable, "-m", "pipelines", "validate", *map(str, specs)]
    found = subprocess.run(validate, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
