"""The chart, rendered: by Helm, against Kubernetes' own schemas and those of operators."""

import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import kubernetes
from danmatte.settings import Settings, describe_settings, to_variable
from tests.service.cluster.manifests import (
    CHART,
    EVERYTHING,
    KUBERNETES,
    SCHEMAS,
    find_containers,
    find_object,
    list_files,
    need_helm,
    need_kubernetes_schemas,
    need_schema,
    read_objects,
    render_objects,
)


@pytest.mark.parametrize("values", EVERYTHING)
def test_helm_lint_reports_no_problems(values: str) -> None:
    need_helm()
    words = [word for name, value in EVERYTHING[values].items() for word in ("--set", f"{name}={value}")]
    command = [str(kubernetes.find_tool("helm")), "lint", "--strict", str(CHART), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def check_kinds(objects: list[dict[str, Any]]) -> set[str]:
    """Checks Kubernetes' own kinds; returns them."""
    import kubernetes_validate

    own = [found for found in objects if found["kind"] not in SCHEMAS]
    for found in own:
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
    return {found["kind"] for found in own}


@pytest.mark.parametrize("values", EVERYTHING)
def test_objects_of_the_chart_conform_to_kubernetes_schemas(values: str) -> None:
    need_kubernetes_schemas()
    kinds = check_kinds(render_objects(EVERYTHING[values]))
    assert {"Deployment", "Service", "PodDisruptionBudget", "NetworkPolicy"} <= kinds


@pytest.mark.parametrize("name", [path.name for path in list_files()])
def test_plain_manifests_conform_to_kubernetes_schemas(name: str) -> None:
    need_kubernetes_schemas()
    (path,) = [path for path in list_files() if path.name == name]
    check_kinds(read_objects(path.read_text()))


def test_schema_validation_rejects_an_unknown_field() -> None:
    need_kubernetes_schemas()
    import kubernetes_validate

    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"selectors": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, KUBERNETES, strict=True)


@pytest.mark.parametrize("kind", SCHEMAS)
def test_objects_of_operators_conform_to_their_schemas(kind: str) -> None:
    schema = need_schema(kind)
    objects = [found for path in list_files() for found in read_objects(path.read_text())]
    if kind in ("ScaledObject", "ServiceMonitor", "PrometheusRule"):
        objects = [found for values in EVERYTHING.values() for found in render_objects(values)]
    found = [each for each in objects if each["kind"] == kind]
    assert found
    for each in found:
        jsonschema.validate(each, schema)


def test_the_plain_manifest_is_identical_to_the_rendered_chart() -> None:
    need_helm()
    assert kubernetes.RENDERED.read_text() == kubernetes.render_plain(), "scripts/kubernetes.py render writes it anew"


@pytest.mark.parametrize("values", EVERYTHING)
def test_every_environment_variable_is_a_setting_and_occurs_once(values: str) -> None:
    known = {to_variable(setting): setting for setting in describe_settings()}
    ((_, container),) = find_containers(render_objects(EVERYTHING[values]))
    names = [variable["name"] for variable in container["env"]]
    assert len(set(names)) == len(names)
    Settings.read(None, **{known[each["name"]]: each["value"] for each in container["env"] if "value" in each})


def test_numbers_in_a_values_file_reach_the_server_unchanged(tmp_path: Path) -> None:
    """Helm reads them as floats, and would write sixteen million as 1.6777216e+07."""
    given = {
        "max_body_bytes": 16777216,
        "max_bytes_under_way": 2**40,
        "watch_s": 0.5,
        "connection_s": 1e-7,
        "queue": 64,
        "drain_s": 30.0,
        "log": "json",
        "open_metrics": False,
    }
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"settings": given}))
    need_helm()
    ((_, container),) = find_containers(read_objects(kubernetes.render("--values", str(tmp_path / "values.yaml"))))
    variables = {each["name"]: each.get("value") for each in container["env"]}
    read = Settings.read(None, **{name: variables[to_variable(name)] for name in given})
    assert {name: getattr(read, name) for name in given} == given


def test_a_pod_uses_as_many_cores_as_its_cpu_request() -> None:
    ((_, container),) = find_containers(render_objects({}))
    (cores,) = [variable for variable in container["env"] if variable["name"] == "DANMATTE_CORES"]
    assert cores["valueFrom"]["resourceFieldRef"] == {"resource": "requests.cpu", "divisor": "1"}
    ((_, changed),) = find_containers(render_objects({"settings.cores": "3"}))
    assert {"name": "DANMATTE_CORES", "value": "3"} in changed["env"]


def test_the_policies_volume_is_writable_and_the_models_volume_read_only() -> None:
    objects = render_objects(EVERYTHING["open, with models from a volume"])
    ((_, container),) = find_containers(objects)
    mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
    variables = {each["name"]: each.get("value") for each in container["env"]}
    assert variables["DANMATTE_POLICIES"] == mounts["policies"]["mountPath"]
    assert not mounts["policies"].get("readOnly")
    assert mounts["models"]["readOnly"]


def test_an_autoscaler_replaces_the_fixed_number_of_replicas() -> None:
    fixed = render_objects({"replicas": "5"})
    assert find_object(fixed, "Deployment")["spec"]["replicas"] == 5
    for kind, other in (("hpa", "HorizontalPodAutoscaler"), ("keda", "ScaledObject")):
        objects = render_objects({"autoscaling.kind": kind})
        assert "replicas" not in find_object(objects, "Deployment")["spec"]
        target = find_object(objects, other)["spec"]["scaleTargetRef"]["name"]
        assert target == find_object(objects, "Deployment")["metadata"]["name"]


def test_the_autoscaler_by_requests_counts_live_frames_but_no_probes() -> None:
    trigger, _ = find_object(render_objects({"autoscaling.kind": "keda"}), "ScaledObject")["spec"]["triggers"]
    query = trigger["metadata"]["query"]
    assert 'danmatte_requests_total{protocol=~"mattes|v2|tfs|grpc"' in query
    assert "danmatte_live_frames_total" in query
    assert "or vector(0)" in query  # a server that has no live connections has no such series


def test_the_p99_value_sets_the_threshold_of_the_slow_alert() -> None:
    objects = render_objects({"monitoring.rules": "true", "monitoring.p99Seconds": "0.1"})
    rules = find_object(objects, "PrometheusRule")["spec"]["groups"][0]["rules"]
    (slow,) = [rule for rule in rules if rule["alert"] == "DanmatteSlow"]
    assert slow["expr"].rstrip().endswith("> 0.1")


def test_the_termination_grace_period_follows_the_drain_time() -> None:
    ((pod, _),) = find_containers(render_objects({"settings.drain_s": "300", "preStopSeconds": "20"}))
    assert pod["terminationGracePeriodSeconds"] == 330


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"keys.existingSecret": ""}, "keys.existingSecret: expected a Secret with API keys"),
        ({"models.from": "volume"}, "models.volume: expected a volume's source"),
        ({"models.from": "image"}, "models.image.reference: expected an image"),
        ({"settings.port": "9"}, "settings.port: set by another value"),
        (
            {"settings.tls_certificate": "/tls.crt"},
            "settings.tls_certificate: expected TLS to end in front of the pods",
        ),
        (
            {"monitoring.serviceMonitor": "true", "settings.open_metrics": "false"},
            "monitoring.serviceMonitor: expected settings.open_metrics",
        ),
        ({"replicaCount": "3"}, "replicaCount"),
        ({"autoscaling.kind": "hpa", "autoscaling.minReplicas": "9"}, "autoscaling.maxReplicas: expected at least"),
    ],
)
def test_invalid_values_are_refused_by_name(values: dict[str, str], says: str) -> None:
    need_helm()
    words = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    command = [str(kubernetes.find_tool("helm")), "template", str(CHART), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode != 0
    assert says in done.stderr


def test_the_chart_renders_with_the_values_of_a_capacity_plan(tmp_path: Any) -> None:
    need_helm()
    from danmatte.capacity.arrivals import Streams
    from danmatte.capacity.demand import StreamDemand
    from danmatte.capacity.plan import Cluster, Requirement, make_plan
    from danmatte.capacity.render import write_helm_values
    from tests.service.capacity.measured import make_capacity

    demand = StreamDemand(Streams(30, 5), requests=400)
    plan = make_plan(make_capacity(), demand, Requirement(0.2), Cluster(4))
    (tmp_path / "values.yaml").write_text(write_helm_values(plan))
    objects = read_objects(kubernetes.render("--values", str(tmp_path / "values.yaml")))
    assert find_object(objects, "HorizontalPodAutoscaler")["spec"]["minReplicas"] == plan.pods
    ((_, container),) = find_containers(objects)
    assert container["resources"]["requests"]["cpu"] == str(plan.cores_per_pod)
    assert yaml.safe_load((tmp_path / "values.yaml").read_text())["replicas"] == plan.pods
