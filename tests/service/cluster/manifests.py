"""Kubernetes objects of the repository, and the programs that check them."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import kubernetes

ROOT = Path(__file__).parents[3]
CHART = ROOT / "service/chart"
PLAIN = ROOT / "service/kubernetes"
RULES = CHART / "files/rules.yaml"
SHARED = Path(os.environ.get("DANMATTE_SHARED", ROOT.parent / "shared"))
KUBERNETES = "1.35"  # version of the schemas by which objects are checked
SCHEMAS = {
    "ScaledObject": "scaledobject_v1alpha1",
    "ServiceMonitor": "servicemonitor_v1",
    "PrometheusRule": "prometheusrule_v1",
    "ClusterServingRuntime": "clusterservingruntime_v1alpha1",
    "InferenceService": "inferenceservice_v1beta1",
}
EVERYTHING = {
    "with the operator, gRPC and an autoscaler on CPU": {
        "monitoring.serviceMonitor": "true",
        "monitoring.rules": "true",
        "monitoring.labels.release": "prometheus",
        "service.grpcPort": "9000",
        "autoscaling.kind": "hpa",
        "networkPolicy.from[0].namespaceSelector.matchLabels.team": "video",
        "networkPolicy.to[0].podSelector.matchLabels.app": "collector",
    },
    "with KEDA and models from an image": {
        "autoscaling.kind": "keda",
        "models.from": "image",
        "models.image.reference": "registry.example/models@sha256:" + "0" * 64,
        "image.digest": "sha256:" + "1" * 64,
    },
    "open, with models from a volume": {
        "keys.existingSecret": "",
        "open": "true",
        "models.from": "volume",
        "models.volume.persistentVolumeClaim.claimName": "models",
        "models.name": "deeplab",
        "policies.volume.persistentVolumeClaim.claimName": "policies",
        "settings.cores": "3",
        "preStopSeconds": "0",
        "nodeSelector.disk": "ssd",
    },
}


def need_helm() -> None:
    """Skip the test without Helm."""
    if not kubernetes.find_tool("helm"):
        pytest.skip("helm: not found; run scripts/kubernetes.py tools")


def need_program(name: str) -> str:
    """Return the program's path; skip the test if it isn't found."""
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name}: not found; it is in Debian's package prometheus")
    return found


def need_schema(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a kind that isn't part of Kubernetes; skip the test without it."""
    path = SHARED / "schemas" / f"{SCHEMAS[kind]}.json"
    if not path.exists():
        pytest.skip(f"{path}: doesn't exist; DANMATTE_SHARED sets the folder of shared files")
    return yaml.safe_load(
        path.read_text().replace("^(?i)", "(?i)^")
    )  # Go accepts a flag anywhere, Python only at the start


def need_kubernetes_schemas() -> None:
    """Skip the test without Kubernetes' schemas."""
    if not importlib.util.find_spec("kubernetes_validate"):
        pytest.skip("kubernetes-validate: not installed; it is in the extra dev")


def read_objects(text: str) -> list[dict[str, Any]]:
    """Return the objects of a YAML file."""
    return [found for found in yaml.safe_load_all(text) if found]


def render_objects(values: dict[str, str]) -> list[dict[str, Any]]:
    """Return the chart's objects with these values."""
    need_helm()
    words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    return read_objects(kubernetes.render("--namespace", "video", *words))


def list_files() -> list[Path]:
    """Return every file of objects outside of the chart."""
    return sorted(PLAIN.glob("*.yaml"))


def find_containers(objects: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the specification of every pod with each of its containers."""
    for found in objects:
        spec = found.get("spec", {})
        pod = spec if "containers" in spec else spec.get("template", {}).get("spec", {})
        for container in pod.get("containers", ()):
            yield pod, container


def find_object(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only object of a kind."""
    (found,) = [each for each in objects if each["kind"] == kind]
    return found
