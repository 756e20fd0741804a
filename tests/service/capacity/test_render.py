"""Output of a plan as text, curve and chart values."""

import math
import re
from xml.etree import ElementTree

import msgspec
import pytest
import yaml

from danmatte.capacity.check import Comparison
from danmatte.capacity.plan import CurvePoint, LoadFigures, Plan
from danmatte.capacity.render import draw_svg, write_comparison, write_helm_values, write_text


def make_figures(load: str, p99_ms: float = 90.0, pods: int = 8) -> LoadFigures:
    return LoadFigures(load, pods, 300.0, 30.0, p99_ms, 0.001, 0.8)


@pytest.fixture
def plan() -> Plan:
    rates = (100.0, 200.0, 400.0)
    return Plan(
        frame="jpeg:1280x720",
        cores_per_pod=2,
        pods_needed=5,
        pods=8,
        machines=4,
        cores=16,
        memory_bytes=230 * 2**20,
        binds="p99: 112 ms against 100 ms, at 70 streams on 6 pods, cores 90% busy",
        p99_limit_ms=100.0,
        today=make_figures("50 streams", 50.0),
        grown=make_figures("60 streams"),
        one_fewer=make_figures("60 streams", 99.0, 6),
        largest=make_figures("66 streams", 99.5, 6),
        ranges={"periodic": "72 streams", "poisson": "60 streams"},
        pod_per_s=55.0,
        pod_busy=0.85,
        curve=tuple(CurvePoint(rate, {"periodic": rate / 4, "poisson": math.inf}) for rate in rates),
        notes=("the network isn't in the times",),
        cost_a_month=1234.5,
        video_core_hours=6849.0,
    )


def test_the_text_starts_with_machines_cores_and_pods_and_has_every_figure(plan: Plan) -> None:
    lines = list(write_text(plan))
    assert lines[0] == "4 machines, 16 cores, 8 pods of 2 cores (jpeg:1280x720)"
    assert plan.binds in lines[1]
    text = "\n".join(lines)
    for word in ("50 streams", "66 streams", "99.5", "0.10%", "80%", "72 streams", "1234.50", "6849", "network"):
        assert word in text


def test_an_infinite_percentile_is_written_as_never(plan: Plan) -> None:
    rows = [line for line in write_text(plan) if "streams" in line]
    assert not any("inf" in row or "nan" in row for row in rows)
    late = Comparison("poisson", 0.85, make_figures("9 streams"), make_figures("9 streams", math.inf))
    assert "p99 90.0 predicted, never measured" in write_comparison(late)


def test_a_comparison_is_written_as_one_line(plan: Plan) -> None:
    line = write_comparison(Comparison("periodic", 0.5, make_figures("9 streams"), make_figures("9 streams", 100.0)))
    assert line.startswith("periodic   50%  9 streams: p50 30.0 predicted, 30.0 measured, p99 90.0 predicted, 100.0")
    assert Comparison("x", 0.5, make_figures("a"), make_figures("a", 100.0)).p99_ratio == 0.9


def test_the_curve_is_svg_with_a_line_for_each_pattern_inside_its_frame(plan: Plan) -> None:
    root = ElementTree.fromstring(draw_svg(plan))
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert len(lines) == 2
    assert {"periodic", "poisson"} <= {text.text for text in root.iter(f"{space}text")}
    for line in lines:
        for point in line.get("points").split():
            across, down = map(float, point.split(","))
            assert 0 <= across <= 720
            assert 0 <= down <= 420


def test_the_axes_have_round_numbers(plan: Plan) -> None:
    labels = re.findall(r'text-anchor="(?:middle|end)" fill="#222">(\d+)<', draw_svg(plan))
    assert {"0", "100", "200", "300", "400", "50"} <= set(labels)


def test_helm_values_set_replicas_resources_and_autoscaling(plan: Plan) -> None:
    values = yaml.safe_load(write_helm_values(plan))
    assert values["replicas"] == 8
    assert values["resources"]["requests"] == {"cpu": "2", "memory": "384Mi"}
    assert values["resources"]["limits"] == {"memory": "768Mi"}
    assert values["autoscaling"]["minReplicas"] == 8
    assert values["autoscaling"]["cpuPercent"] == 76
    assert values["autoscaling"]["requestsPerSecond"] == pytest.approx(49.5)


def test_helm_values_omit_memory_that_was_not_measured(plan: Plan) -> None:
    unknown = msgspec.structs.replace(plan, memory_bytes=0, pod_per_s=0.01)
    values = yaml.safe_load(write_helm_values(unknown))
    assert values["resources"] == {"requests": {"cpu": "2"}}
    assert values["autoscaling"]["requestsPerSecond"] > 0
