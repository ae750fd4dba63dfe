"""HTTP APIs, on a server of the tests."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from tests.conformance.http import ChangeFeed, Resource
from tests.conformance.waivers import GATHERS, POLLS

_NO_METADATA = "an item of an API has no metadata beside it"


class TestPollEndpoint(TriggerConformance):
    trigger = "http.poll-endpoint"
    system = "HTTP"
    harness_type = ChangeFeed
    waivers: ClassVar = {**POLLS, 3: _NO_METADATA, 4: _NO_METADATA}

    @pytest.fixture
    def server(self) -> None:
        """The harness has one of its own."""


class TestRequest(SinkConformance):
    action = "http.request"
    system = "HTTP"
    harness_type = Resource
    waivers: ClassVar = {
        7: GATHERS,
        8: GATHERS,
        35: "whether a path is there only a request can tell, and that may write",
    }

    @pytest.fixture
    def server(self) -> None:
        """The harness has one of its own."""
