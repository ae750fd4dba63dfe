"""The conformance suite of triggers, and what tests of flows are made with; needs pytest.

A connector, ours or a third party's, runs it with a harness for its system and a class for pytest:

    class TestListenQueue(TriggerConformance):
        trigger = "my-system.listen-queue"
        system = "My System 2.1"
        harness_type = MyHarness
        waivers = {27: "the system promises no order"}

        @pytest.fixture
        def server(self, my_server: MyServer) -> MyServer:
            return my_server
"""

import pkgutil

import pytest

pytest.register_assert_rewrite(*(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")))

from sources.testing.conformance import TriggerConformance  # noqa: E402 - asserts are rewritten at the import
from sources.testing.harness import PollingHarness, TriggerHarness  # noqa: E402

__all__ = ["PollingHarness", "TriggerConformance", "TriggerHarness"]
