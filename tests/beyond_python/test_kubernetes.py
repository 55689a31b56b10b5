# SPDX-License-Identifier: MIT
"""The manifests against Kubernetes' own schemas, and against what the page promises."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")
FOLDER = Path(__file__).parents[2] / "examples/kubernetes"
MANIFESTS = sorted(FOLDER.glob("*.yaml"))
VERSION = "1.29"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def pods() -> list[dict[str, Any]]:
    return [
        one["spec"]["template"]["spec"]
        for path in MANIFESTS
        for one in documents(path)
        if one["kind"] == "Deployment"
    ]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_schema(path: Path) -> None:
    if shutil.which("kubeconform"):
        command = ["kubeconform", "-strict", str(path)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return
    validate = pytest.importorskip("kubernetes_validate").validate
    for document in documents(path):
        validate(document, VERSION, strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_a_wrong_manifest_is_found(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    wrong = documents(path)[0]
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMount"] = []
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, VERSION, strict=True)


def test_there_are_manifests() -> None:
    assert len(pods()) == 2


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod["containers"][0]["name"])
def test_each_container_has_the_arena(pod: dict[str, Any]) -> None:
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert volumes["shm"]["emptyDir"]["medium"] == "Memory"
    assert volumes["shm"]["emptyDir"]["sizeLimit"]
    assert volumes["key"]["secret"]["defaultMode"] == 0o440
    assert pod["securityContext"]["runAsUser"]
    for container in pod["containers"]:
        mounts = {one["name"]: one for one in container["volumeMounts"]}
        assert mounts["shm"]["mountPath"] == "/dev/shm"
        assert not mounts["shm"].get("readOnly")
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("pod", pods(), ids=lambda pod: pod["containers"][0]["name"])
def test_the_bridge_is_asked_whether_it_is_connected(pod: dict[str, Any]) -> None:
    (bridge,) = (one for one in pod["containers"] if one["name"] == "bridge")
    command = bridge["readinessProbe"]["exec"]["command"]
    assert command[:3] == ["tensoring", "bridge", "status"]
    wait = next(word for word in command if word.startswith("--wait="))
    assert int(wait.removeprefix("--wait=")) < bridge["readinessProbe"]["timeoutSeconds"]
    folders = {mount["mountPath"] for mount in bridge["volumeMounts"]}
    for word in bridge["args"]:
        option, _, value = word.partition("=")
        if option in ("--key", "--peer-key"):
            assert str(Path(value).parent) in folders
        if option == "--allow":
            assert value in folders
        if option == "--grace":
            assert int(value) < pod["terminationGracePeriodSeconds"]


def test_ports_and_labels_agree() -> None:
    models, service, ingress = documents(FOLDER / "models.yaml")
    ingest, egress = documents(FOLDER / "ingest.yaml")
    listening = models["spec"]["template"]["spec"]["containers"][1]
    connecting = ingest["spec"]["template"]["spec"]["containers"][1]
    port = listening["ports"][0]["containerPort"]
    assert f"--bind=0.0.0.0:{port}" in listening["args"]
    assert f"--peer={service['metadata']['name']}:{port}" in connecting["args"]
    assert service["spec"]["ports"][0]["port"] == port
    rule = ingress["spec"]["ingress"][0]
    assert rule["ports"][0]["port"] == port
    assert egress["spec"]["egress"][0]["ports"][0]["port"] == port
    labels = ingest["spec"]["template"]["metadata"]["labels"]
    assert rule["from"][0]["podSelector"]["matchLabels"] == labels
    labels = models["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert ingress["spec"]["podSelector"]["matchLabels"] == labels
