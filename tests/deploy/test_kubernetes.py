"""The manifests of Kubernetes: by its schemas, and by what the product knows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]
import pytest

from pipelines.membership import Membership, membership
from tests.deploy.files import ROOT, documents, is_served, run_options, validate

FOLDER = ROOT / "deploy" / "kubernetes"
VERSIONS = ["1.30.0", "1.37.0"]
WORKLOADS = {"stateless": "Deployment", "stateful": "StatefulSet"}


class Manifests:
    """What a folder has, as `kubectl apply -k` would read it."""

    def __init__(self, name: str) -> None:
        self.folder = FOLDER / name
        (self.kustomization,) = documents(self.folder / "kustomization.yaml")
        self.all = [each for file in self.kustomization["resources"] for each in documents(self.folder / file)]
        self.workload = self.one(WORKLOADS[name])
        self.pod: dict[str, Any] = self.workload["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.options = run_options(self.container["args"])

    def one(self, kind: str) -> dict[str, Any]:
        (found,) = [each for each in self.all if each["kind"] == kind]
        return found

    def mounted(self, path: Path) -> dict[str, Any]:
        """The volume that is mounted at a path."""
        (mount,) = [mount for mount in self.container["volumeMounts"] if mount["mountPath"] == str(path)]
        volumes: list[dict[str, Any]] = self.pod["volumes"]
        (volume,) = [volume for volume in volumes if volume["name"] == mount["name"]]
        return volume


@pytest.fixture(params=WORKLOADS)
def manifests(request: pytest.FixtureRequest) -> Manifests:
    return Manifests(request.param)


@pytest.mark.parametrize("version", VERSIONS)
def test_they_are_valid(manifests: Manifests, version: str) -> None:
    for manifest in manifests.all:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_mistakes_are_found(manifests: Manifests) -> None:
    manifests.container["readOnlyRootFileSystem"] = True
    with pytest.raises(kubernetes_validate.ValidationError, match="readOnlyRootFileSystem"):
        kubernetes_validate.validate(manifests.workload, VERSIONS[-1], strict=True)


def test_all_files_are_used(manifests: Manifests) -> None:
    generated = [file for each in manifests.kustomization["configMapGenerator"] for file in each["files"]]
    named = {"kustomization.yaml", *manifests.kustomization["resources"], *generated}
    assert {file.name for file in manifests.folder.iterdir()} == named


def test_the_spec_is_valid_with_the_accounts_of_the_secret(manifests: Manifests, tmp_path: Path) -> None:
    spec, accounts = manifests.options["spec"], manifests.options["accounts"]
    (generator,) = manifests.kustomization["configMapGenerator"]
    assert manifests.mounted(spec.parent)["configMap"]["name"] == generator["name"]
    assert generator["files"] == [spec.name]
    secret = manifests.one("Secret")
    assert manifests.mounted(accounts.parent)["secret"]["secretName"] == secret["metadata"]["name"]
    for name, content in secret["stringData"].items():
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o400)

    said = validate(manifests.folder / spec.name, {}, "--accounts", str(tmp_path / accounts.name))

    # Without a word of secrets that anybody can read: they are in files of their own.
    assert said == f"{manifests.folder / spec.name}: ok\n"


def test_the_probes_ask_what_is_served(manifests: Manifests) -> None:
    ports = {port["name"]: port["containerPort"] for port in manifests.container["ports"]}
    host, port = manifests.options["http"]
    assert host == "0.0.0.0"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asked = manifests.container[probe]["httpGet"]
        assert ports[asked["port"]] == port
        assert is_served(asked["path"])
    assert manifests.container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert manifests.container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    annotations = manifests.workload["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port)


def test_a_drain_is_over_before_the_process_is_killed(manifests: Manifests) -> None:
    assert manifests.options["drain_timeout"] + 5 <= manifests.pod["terminationGracePeriodSeconds"]


def test_it_runs_with_no_more_rights_than_it_needs(manifests: Manifests) -> None:
    uid, gid = re.findall(r"^USER (\d+):(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
    context = manifests.pod["securityContext"]
    assert context["runAsNonRoot"]
    assert (context["runAsUser"], context["fsGroup"]) == (int(uid), int(gid))
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}
    assert manifests.container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not manifests.pod["automountServiceAccountToken"]


def test_its_parts_find_each_other(manifests: Manifests) -> None:
    labels = manifests.workload["spec"]["template"]["metadata"]["labels"].items()
    selectors = [
        manifests.workload["spec"]["selector"]["matchLabels"],
        manifests.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in manifests.pod["topologySpreadConstraints"]),
    ]
    assert all(selector.items() <= labels for selector in selectors)


def test_a_stateless_flow_leaves_nothing_in_a_state_that_goes_with_the_pod() -> None:
    manifests = Manifests("stateless")
    assert "emptyDir" in manifests.mounted(manifests.options["state_dir"])
    _keeps_no_letters(manifests)


def test_the_state_of_a_cluster_is_shared_by_its_pods() -> None:
    manifests = Manifests("stateful")
    claim = manifests.mounted(manifests.options["state_dir"])["persistentVolumeClaim"]["claimName"]
    made = manifests.one("PersistentVolumeClaim")
    assert made["metadata"]["name"] == claim
    assert made["spec"]["accessModes"] == ["ReadWriteMany"]
    _keeps_no_letters(manifests)


def _keeps_no_letters(manifests: Manifests) -> None:
    """Neither in a state that goes with its pod, nor in a file that several machines would write."""
    spec = (manifests.folder / manifests.options["spec"].name).read_text()
    assert '"dead_letters": {' in spec
    assert '"journal": "off"' in spec
    assert '"retry"' not in spec


def test_each_pod_is_the_worker_that_its_name_says() -> None:
    manifests = Manifests("stateful")
    name, spec = manifests.workload["metadata"]["name"], manifests.workload["spec"]
    service = manifests.one("Service")
    assert spec["serviceName"] == service["metadata"]["name"]
    assert service["spec"]["clusterIP"] == "None"
    ports = {port["name"]: port["containerPort"] for port in manifests.container["ports"]}
    addresses = tuple(
        f"{name}-{number}.{service['metadata']['name']}:{ports['cluster']}" for number in range(spec["replicas"])
    )
    given = {each["name"]: each.get("value") for each in manifests.container["env"]}
    for number in range(spec["replicas"]):
        environment = {**given, "BYTEWAX_POD_NAME": f"{name}-{number}"}
        assert membership(None, environment["BYTEWAX_ADDRESSES"], environment) == Membership(number, addresses)


def test_the_workers_of_a_cluster_can_meet() -> None:
    """Each is ready when all are there, so none of them may wait for another to be ready."""
    manifests = Manifests("stateful")
    assert manifests.one("Service")["spec"]["publishNotReadyAddresses"]
    assert manifests.workload["spec"]["podManagementPolicy"] == "Parallel"
    # One pod of another spec would wait for the others, and they would not be renewed before it is ready.
    assert manifests.workload["spec"]["updateStrategy"] == {"type": "OnDelete"}
    (open_to_workers, open_to_all) = manifests.one("NetworkPolicy")["spec"]["ingress"]
    labels = manifests.workload["spec"]["template"]["metadata"]["labels"]
    assert open_to_workers["from"] == [{"podSelector": {"matchLabels": labels}}]
    assert (open_to_workers["ports"], open_to_all["ports"]) == ([{"port": "cluster"}], [{"port": "http"}])
