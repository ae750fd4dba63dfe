"""Webhooks: requests that are answered when they are delivered, or when they are stored."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sources.testing import TriggerConformance
from tests.conformance.webhook import AcceptedRequests, DeliveredRequests

_WAIVERS = {
    23: "a trigger that is called cannot know that nobody reaches it; connections are cut, though",
    30: "a port has one listener: a second run is refused it",
}


class Webhook(TriggerConformance):
    trigger = "http.webhook"

    @pytest.fixture
    def server(self) -> None:
        return None


class TestDeliveredRequests(Webhook):
    system = "HTTP: answered when delivered"
    harness_type = DeliveredRequests
    waivers: ClassVar = {
        **_WAIVERS,
        24: "a sender that is not answered in time sends it again; `respond: accepted` is held to it",
        25: "an answer is not refused: it arrives, or the connection is lost",
    }


class TestAcceptedRequests(Webhook):
    system = "HTTP: answered when stored"
    harness_type = AcceptedRequests
    waivers: ClassVar = {**_WAIVERS, 25: "a commit is a line in a file of this machine: nobody can refuse it"}
