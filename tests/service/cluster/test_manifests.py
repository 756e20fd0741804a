"""What is deployed keeps to what the service really has: settings, paths, times; and to least privilege."""

import re
from typing import Any

import jsonschema
import pytest
import yaml

from danmatte.app import build
from danmatte.cli import make_parser
from danmatte.engine import FakeEngine
from danmatte.errors import MissingExtraError, SettingsError, StorageError
from danmatte.settings import Settings, describe_settings, to_variable
from danmatte.telemetry.metrics import Metrics
from tests.service.cluster.manifests import (
    CHART,
    PLAIN,
    ROOT,
    RULES,
    find_containers,
    find_object,
    list_files,
    read_objects,
)

DEPLOYED = [path.name for path in list_files()]
SERVERS = [name for name in DEPLOYED if "job" not in name]


def read(name: str) -> list[dict[str, Any]]:
    return read_objects((PLAIN / name).read_text())


@pytest.mark.parametrize("name", DEPLOYED)
def test_containers_run_with_least_privilege(name: str) -> None:
    found = list(find_containers(read(name)))
    assert found
    for pod, container in found:
        rights = {**pod.get("securityContext", {}), **container["securityContext"]}
        assert rights["runAsNonRoot"] is True
        assert rights["runAsUser"] == 10001
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["capabilities"] == {"drop": ["ALL"]}
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("name", SERVERS)
def test_probes_request_paths_that_the_server_has(name: str, models: Any) -> None:
    app = build(Settings(models=str(models)), lambda found: FakeEngine(found.manifest))
    paths = {resource.canonical for resource in app.router.resources()}
    for _, container in find_containers(read(name)):
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"]["path"] in paths


@pytest.mark.parametrize("name", SERVERS)
def test_container_arguments_are_a_valid_serve_command(name: str) -> None:
    for _, container in find_containers(read(name)):
        parsed = make_parser().parse(container["args"])
        assert parsed.command == "serve"


@pytest.mark.parametrize("name", DEPLOYED)
def test_every_environment_variable_is_a_setting_with_a_valid_value(name: str) -> None:
    known = {to_variable(setting): setting for setting in describe_settings()}
    for _, container in find_containers(read(name)):
        for variable in container.get("env", ()):
            setting = known[variable["name"]]
            if "value" in variable:
                Settings.read(None, **{"open": True, setting: variable["value"]})


def test_the_termination_grace_period_covers_pre_stop_and_drain() -> None:
    pod, container = next(find_containers(read("danmatte.yaml")))
    drain_s = next(float(variable["value"]) for variable in container["env"] if variable["name"] == "DANMATTE_DRAIN_S")
    waits_s = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert waits_s >= 2 * container["readinessProbe"]["periodSeconds"]
    assert pod["terminationGracePeriodSeconds"] > waits_s + drain_s


def test_service_links_and_account_tokens_are_disabled() -> None:
    for name in ("danmatte.yaml", "library-job.yaml"):
        for pod, _ in find_containers(read(name)):
            assert pod["enableServiceLinks"] is False
            assert pod["automountServiceAccountToken"] is False


def test_a_rollout_removes_no_pod_before_its_successor_is_ready() -> None:
    spec = find_object(read("danmatte.yaml"), "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert len(spec["template"]["spec"]["topologySpreadConstraints"]) == 2


def test_every_selector_matches_the_deployments_pods() -> None:
    objects = read("danmatte.yaml")
    labels = find_object(objects, "Deployment")["spec"]["template"]["metadata"]["labels"]
    selectors = [
        find_object(objects, "Service")["spec"]["selector"],
        find_object(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        find_object(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        find_object(objects, "Deployment")["spec"]["selector"]["matchLabels"],
    ]
    for selector in selectors:
        assert selector
        assert selector.items() <= labels.items()


def test_shards_of_the_library_match_the_jobs_completions() -> None:
    (job,) = read("library-job.yaml")
    _, container = next(find_containers([job]))
    assert container["args"][-1] == f"$(JOB_COMPLETION_INDEX)/{job['spec']['completions']}"
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] <= 10**5


def test_a_shard_with_bad_videos_does_not_fail_other_shards() -> None:
    (job,) = read("library-job.yaml")
    actions = [rule["action"] for rule in job["spec"]["podFailurePolicy"]["rules"]]
    assert actions == ["Ignore", "FailJob", "FailIndex"]  # the first that fits counts: draining a node is no failure
    assert job["spec"]["podFailurePolicy"]["rules"][-1]["onExitCodes"]["values"] == [1]
    assert "maxFailedIndexes" not in job["spec"]


def test_a_shard_with_a_storage_error_is_retried() -> None:
    (job,) = read("library-job.yaml")
    final = [
        code
        for rule in job["spec"]["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", ())
    ]
    assert StorageError.exit_code not in final
    assert {SettingsError.exit_code, MissingExtraError.exit_code} <= set(final)
    assert job["spec"]["backoffLimitPerIndex"] > 0


def test_the_compose_service_is_as_restricted_as_the_pods() -> None:
    found = yaml.safe_load((ROOT / "service/compose.yaml").read_text())["services"]["danmatte"]
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in found["ports"])
    assert set(found["environment"]) <= {to_variable(name) for name in describe_settings()}
    assert float(found["stop_grace_period"].rstrip("s")) > Settings().drain_s


def test_volumes_of_the_compose_service_are_writable_by_its_user() -> None:
    """An engine gives a new volume the owner of the image's folder, and root's where there is none."""
    found = yaml.safe_load((ROOT / "service/compose.yaml").read_text())["services"]["danmatte"]
    image = (ROOT / "service/Containerfile").read_text()
    (user,) = re.findall(r"^USER (\d+):\d+$", image, re.MULTILINE)
    mounts = [volume.split(":")[1] for volume in found["volumes"]]
    assert mounts
    for mount in mounts:
        assert re.search(rf"install -d -o {user} -g \d+ {mount}$", image, re.MULTILINE), mount


def test_the_charts_values_conform_to_its_strict_schema() -> None:
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(values, schema)
    assert set(values) == set(schema["properties"]) - {"global"}
    for name, value in values.items():
        if isinstance(value, dict) and "properties" in schema["properties"][name]:
            assert set(value) == set(schema["properties"][name]["properties"])
    for wrong in ({"replicaCount": 3}, {"autoscaling": {"kind": "both"}}, {"image": {"repository": ""}}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**values, **wrong}, schema)


def test_versions_of_chart_and_image_match_the_package() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert chart["version"] == chart["appVersion"] == version
    for name in DEPLOYED:
        for _, container in find_containers(read(name)):
            assert container["image"] == f"danmatte:{version}"


def test_alert_rules_use_existing_metrics() -> None:
    page = Metrics().render().decode()
    known = set(re.findall(r"^# TYPE (\w+)", page, re.MULTILINE)) | {"danmatte_waiting"}
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    used = {name for rule in rules for name in re.findall(r"\bdanmatte_\w+", rule["expr"])}
    assert len(rules) >= 5
    for name in used:
        assert {name, name.removesuffix("_total"), name.removesuffix("_bucket")} & known, name
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert set(rule["annotations"]) == {"summary", "description"}
