"""Amazon S3, on two servers that other people wrote."""

from __future__ import annotations

from typing import ClassVar

import pytest

from sinks.testing import SinkConformance
from sources.testing import TriggerConformance
from tests.conformance.s3 import ObjectsByKey, ObjectsByTime, ObjectsSink
from tests.conformance.waivers import GATHERS, POLLS
from tests.servers.s3 import S3Server


class NewObjects(TriggerConformance):
    trigger = "amazon-s3.new-objects"


class TestObjectsByTimeOnMinistack(NewObjects):
    system = "S3: ministack"
    harness_type = ObjectsByTime
    waivers: ClassVar = {**POLLS, 27: "objects are found in the order of their names; by key they are held to it"}

    @pytest.fixture
    def server(self, s3: S3Server) -> S3Server:
        return s3


class TestObjectsByKeyOnS3Proxy(NewObjects):
    system = "S3 by key: S3Proxy"
    harness_type = ObjectsByKey
    waivers: ClassVar = POLLS

    @pytest.fixture
    def server(self, s3proxy: S3Server) -> S3Server:
        return s3proxy


class TestPutObjectsOnMinistack(SinkConformance):
    action = "amazon-s3.put-objects"
    system = "S3: ministack"
    harness_type = ObjectsSink
    waivers: ClassVar = {
        3: "an object has the bodies of its records, and nothing beside them",
        7: GATHERS,
        8: GATHERS,
        26: "an object may be far larger than what a flow holds",
        27: "a bucket has no order; what is in one object has",
    }

    @pytest.fixture
    def server(self, s3: S3Server) -> S3Server:
        return s3
