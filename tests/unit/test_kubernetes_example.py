"""The example manifest, as far as it can be checked without a cluster: shapes, references, settings, probes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

REPOSITORY = Path(__file__).parents[2]
FILE = REPOSITORY / "deploy" / "kubernetes" / "lethe.yaml"
# Kind -> the API that it is of, and what its spec must have.
KINDS: dict[str, tuple[str, set[str]]] = {
    "ConfigMap": ("v1", set()),
    "PersistentVolumeClaim": ("v1", {"accessModes", "resources"}),
    "Job": ("batch/v1", {"template"}),
    "Deployment": ("apps/v1", {"replicas", "selector", "strategy", "template"}),
    "Service": ("v1", {"selector", "ports"}),
    "PodDisruptionBudget": ("policy/v1", {"minAvailable", "selector"}),
}
SECRETS = {
    "LETHE_DATABASE_URL", "LETHE_BROKER_URL", "LETHE_SUBJECT_KEY", "LETHE_AUDIT_KEY", "LETHE_SIGNING_KEY",
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY",
}  # fmt: skip


def documents() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(FILE.read_text()))


def named(kind: str, name: str) -> dict[str, Any]:
    (found,) = (one for one in documents() if (one["kind"], one["metadata"]["name"]) == (kind, name))
    return found


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    for one in documents():
        if "template" in one.get("spec", {}):
            yield one["metadata"]["name"], one["spec"]["template"]


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_every_document_has_the_shape_of_its_kind_in_one_namespace() -> None:
    assert {one["kind"] for one in documents()} == set(KINDS)
    for one in documents():
        version, needed = KINDS[one["kind"]]
        assert one["apiVersion"] == version
        assert one["metadata"]["namespace"] == "lethe"
        assert needed <= set(one.get("spec", {}))
    names = [(one["kind"], one["metadata"]["name"]) for one in documents()]
    assert len(set(names)) == len(names)


def test_selectors_find_the_pods_that_they_mean() -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods()}
    for name in ("lethe-gateway", "lethe-worker"):
        assert named("Deployment", name)["spec"]["selector"]["matchLabels"] == labels[name]
    assert named("Service", "lethe")["spec"]["selector"] == labels["lethe-gateway"]
    budget = named("PodDisruptionBudget", "lethe-gateway")["spec"]
    assert budget["selector"]["matchLabels"] == labels["lethe-gateway"]
    assert budget["minAvailable"] < named("Deployment", "lethe-gateway")["spec"]["replicas"]
    assert len({tuple(sorted(one.items())) for one in labels.values()}) == len(labels)


def test_what_a_pod_refers_to_is_there() -> None:
    claims = {one["metadata"]["name"] for one in documents() if one["kind"] == "PersistentVolumeClaim"}
    maps = {one["metadata"]["name"] for one in documents() if one["kind"] == "ConfigMap"}
    told = set(re.findall(r'secret generic ([a-z-]+)|"(lethe-gateway)"', FILE.read_text()))
    secrets = {name for pair in told for name in pair if name}
    for _, pod in pods():
        volumes = {one["name"]: one for one in pod["spec"].get("volumes", [])}
        assert {one["name"] for one in container(pod).get("volumeMounts", [])} == set(volumes)
        for volume in volumes.values():
            if "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in claims
        for source in container(pod)["envFrom"]:
            if "configMapRef" in source:
                assert source["configMapRef"]["name"] in maps
            else:
                assert source["secretRef"]["name"] in secrets


def test_settings_exist_and_no_secret_is_in_the_file() -> None:
    known = {f"LETHE_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"LETHE_[A-Z0-9_]+", FILE.read_text())) <= known
    config = named("ConfigMap", "lethe")["data"]
    assert SECRETS.isdisjoint(config)
    # Each of them is named where it is said what the secrets hold.
    assert set(re.findall(r"(?:LETHE|AWS)_[A-Z_]+", FILE.read_text().partition("apiVersion")[0])) == SECRETS
    assert config["LETHE_ENVIRONMENT"] == "production"
    assert Settings.model_fields["store_url"] is not None
    assert config["LETHE_STORE_URL"].startswith("s3://")


def test_only_gateways_sign() -> None:
    holders = {
        name
        for name, pod in pods()
        for source in container(pod)["envFrom"]
        if source.get("secretRef", {}).get("name") == "lethe-gateway"
    }
    assert holders == {"lethe-gateway"}


def test_probes_ask_routes_that_exist_at_ports_that_are_open() -> None:
    gateway = container(dict(pods())["lethe-gateway"])
    routes = (REPOSITORY / "app" / "health" / "endpoints.py").read_text()
    ports = {one["name"] for one in gateway["ports"]}
    asked = {name: gateway[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: one["path"] for name, one in asked.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    for one in asked.values():
        assert one["port"] in ports
        assert f'"{one["path"]}"' in routes
    assert named("Service", "lethe")["spec"]["ports"][0]["targetPort"] in ports
    # The worker is asked what its image asks.
    command = container(dict(pods())["lethe-worker"])["livenessProbe"]["exec"]["command"][-1]
    assert command in (REPOSITORY / "Dockerfile").read_text()


def test_an_upgrade_replaces_a_gateway_only_when_another_is_ready() -> None:
    strategy = named("Deployment", "lethe-gateway")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize("name", ["lethe-migrate", "lethe-gateway", "lethe-worker"])
def test_pods_are_of_the_images_and_without_privileges(name: str) -> None:
    pod = dict(pods())[name]
    assert container(pod)["image"] == f"registry.example/{name}:0.1.0"
    target = name.removeprefix("lethe-")
    assert re.search(rf" AS {target}$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["securityContext"]["runAsUser"] == 10001
    assert container(pod)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert "memory" in container(pod)["resources"]["limits"]
