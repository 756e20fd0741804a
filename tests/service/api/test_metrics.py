"""The metrics page, and the consistency of metric names in code, dashboard and alerts."""

import json
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

import danmatte
from danmatte.telemetry.metrics import Metrics
from tests.service.conftest import Start

DASHBOARD = Path(danmatte.__file__).parents[1].joinpath("grafana.json")


async def test_the_metrics_page_reports_models_workers_and_resources(start: Start, jpeg: bytes) -> None:
    client = await start()
    await client.post("/v1/mattes", data=jpeg)
    answer = await client.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    found = {family.name: family for family in text_string_to_metric_families(await answer.text())}
    states = {sample.labels["state"]: sample.value for sample in found["danmatte_model_versions"].samples}
    assert states["ready"] >= 1
    assert found["danmatte_model_loads"].samples[0].value >= 1
    assert found["danmatte_in_flight"].samples[0].value == 0
    assert found["danmatte_workers"].samples[0].value == 1
    assert found["danmatte_process_resident_bytes"].samples[0].value > 2**20
    assert found["danmatte_process_open_files"].samples[0].value > 3


async def test_the_dashboard_shows_every_metric_and_no_other(start: Start) -> None:
    page = await (await (await start()).get("/metrics")).text()
    families = {family.name: family.type for family in text_string_to_metric_families(page)}
    suffix = {"counter": "_total", "histogram": "_bucket", "gauge": ""}
    known = {name + suffix[kind] for name, kind in families.items()}
    shown = set(re.findall(r"\bdanmatte_\w+", json.dumps([panel["targets"] for panel in dashboard()])))
    assert shown == known


def dashboard() -> list[dict]:
    """The dashboard's panels."""
    return json.loads(DASHBOARD.read_text())["panels"]


def test_dashboard_panels_have_unique_ids() -> None:
    numbers = [panel["id"] for panel in dashboard()]
    assert len(set(numbers)) == len(numbers)


def test_two_servers_in_one_process_count_separately() -> None:
    first, second = Metrics(), Metrics()
    first.count_load("ready")
    assert b'danmatte_model_loads_total{outcome="ready"}' not in second.render()
