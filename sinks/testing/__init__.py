"""The conformance suite of sinks; needs pytest.

Like `sources.testing`, with a harness for the system and a class for pytest:

    class TestAppend(SinkConformance):
        action = "my-system.append"
        system = "My System 2.1"
        harness_type = MySinkHarness
        waivers = {20: "it appends, so nothing is replaced"}

        @pytest.fixture
        def server(self, my_server: MyServer) -> MyServer:
            return my_server
"""

import pkgutil

import pytest

pytest.register_assert_rewrite(*(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}.")))

from sinks.testing.conformance import SinkConformance  # noqa: E402 - asserts are rewritten at the import
from sinks.testing.harness import Received, SinkHarness  # noqa: E402

__all__ = ["Received", "SinkConformance", "SinkHarness"]
