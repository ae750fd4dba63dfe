"""The triggers and sinks of this machine: files, standard output, and nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from tests.conformance.local import DroppedFiles, File, GrowingLog, Nowhere, StandardOutput
from tests.conformance.waivers import APPENDS, POLLS

_NO_SYSTEM = {
    3: "a line has the body of its record, and nothing beside it",
    23: "no connection is needed",
    28: "no connection is needed",
    36: "what does not exist is made",
}


class NewFiles(TriggerConformance):
    trigger = "files.new-files"
    waivers: ClassVar = {
        **POLLS,
        **dict.fromkeys((3, 4), "a line has its record, and nothing beside it"),
        23: "no connection is needed",
        36: "a folder that is not there yet is waited for",
    }

    @pytest.fixture
    def server(self, tmp_path: Path) -> Path:
        return tmp_path


class TestDroppedFiles(NewFiles):
    system = "files"
    harness_type = DroppedFiles


class TestGrowingLog(NewFiles):
    system = "a log"
    harness_type = GrowingLog


class TestFile(SinkConformance):
    action = "files.append"
    system = "files"
    harness_type = File
    waivers: ClassVar = {**APPENDS, **_NO_SYSTEM, 26: "a line may be as long as the disk is large"}

    @pytest.fixture
    def server(self, tmp_path: Path) -> Path:
        return tmp_path


class TestStandardOutput(SinkConformance):
    action = "stdout.print"
    system = "stdout"
    harness_type = StandardOutput
    waivers: ClassVar = {
        **APPENDS,
        **_NO_SYSTEM,
        26: "a line may be of any length",
        36: "there is one standard output",
    }

    @pytest.fixture
    def server(self, tmp_path: Path) -> Path:
        return tmp_path


class TestNowhere(SinkConformance):
    action = "drop.drop"
    system = "drop"
    harness_type = Nowhere
    waivers: ClassVar = dict.fromkeys(
        (3, 5, 6, 7, 8, 10, 18, 19, 20, 22, 23, 26, 27, 28, 29, 36), "what is dropped cannot be looked at"
    )

    @pytest.fixture
    def server(self, tmp_path: Path) -> Path:
        return tmp_path
