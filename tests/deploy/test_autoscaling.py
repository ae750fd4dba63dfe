"""The objects of KEDA: by a schema of what KEDA takes, and by what they scale."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.deploy.files import ROOT, documents

FOLDER = ROOT / "deploy" / "kubernetes"
SCHEMA = json.loads(Path(__file__).with_name("keda.json").read_text())
SPEC = json.loads((FOLDER / "stateless" / "orders.json").read_text())
SECRET = documents(FOLDER / "stateless" / "secret.yaml")[0]
ACCOUNTS = SECRET["stringData"]["accounts.toml"]
SYSTEMS = {
    "rabbitmq.yaml": ("rabbit", {"host": "url"}),
    "sqs.yaml": ("aws", {"awsAccessKeyID": "access_key_id", "awsSecretAccessKey": "secret_access_key"}),
    "kafka.yaml": ("kafka", {"username": "username", "password": "password"}),
}
"""By file, the account of the flow that reaches the same system, and its fields of the same secrets."""


def _pair(file: str) -> tuple[dict[str, Any], dict[str, Any]]:
    authentication, scaled = documents(FOLDER / "autoscaling" / file)
    assert (authentication["kind"], scaled["kind"]) == ("TriggerAuthentication", "ScaledObject")
    return authentication, scaled


def test_each_kind_of_trigger_has_one() -> None:
    assert {file.name for file in (FOLDER / "autoscaling").iterdir()} == SYSTEMS.keys()


@pytest.mark.parametrize("file", SYSTEMS)
def test_they_are_valid(file: str) -> None:
    for manifest in _pair(file):
        jsonschema.validate(manifest, SCHEMA)


@pytest.mark.parametrize("file", SYSTEMS)
def test_mistakes_are_found(file: str) -> None:
    _, scaled = _pair(file)
    (trigger,) = scaled["spec"]["triggers"]
    for name in trigger["metadata"]:
        wrong = copy.deepcopy(scaled)
        metadata = wrong["spec"]["triggers"][0]["metadata"]
        metadata[f"{name}s"] = metadata.pop(name)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SCHEMA)


@pytest.mark.parametrize("file", SYSTEMS)
def test_they_scale_the_deployment(file: str) -> None:
    _, scaled = _pair(file)
    (deployment,) = [
        each for each in documents(FOLDER / "stateless" / "deployment.yaml") if each["kind"] == "Deployment"
    ]
    assert scaled["spec"]["scaleTargetRef"] == {"name": deployment["metadata"]["name"]}
    assert scaled["spec"]["minReplicaCount"] <= scaled["spec"]["maxReplicaCount"]


@pytest.mark.parametrize("file", SYSTEMS)
def test_they_log_in_as_the_flow_does(file: str) -> None:
    authentication, scaled = _pair(file)
    (trigger,) = scaled["spec"]["triggers"]
    assert trigger["authenticationRef"] == {"name": authentication["metadata"]["name"]}
    account, fields = SYSTEMS[file]
    (table,) = re.findall(rf"^\[{account}\]\n((?:.+\n)+)", ACCOUNTS, re.MULTILINE)
    for reference in authentication["spec"]["secretTargetRef"]:
        assert reference["name"] == SECRET["metadata"]["name"]
        assert reference["key"] in SECRET["stringData"]
        assert f'{fields[reference["parameter"]]} = "${{file:{reference["key"]}}}"' in table


def test_the_queue_is_that_of_the_trigger() -> None:
    _, scaled = _pair("rabbitmq.yaml")
    assert scaled["spec"]["triggers"][0]["metadata"]["queueName"] == SPEC["trigger"]["queue"]


def test_the_group_is_that_of_the_flow() -> None:
    _, scaled = _pair("kafka.yaml")
    assert scaled["spec"]["triggers"][0]["metadata"]["consumerGroup"] == SPEC["name"]
