"""Prometheus' own programs read what the service serves, and its rules."""

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from danmatte.telemetry.metrics import Metrics
from danmatte.telemetry.timing import Timing
from tests.service.cluster.manifests import RULES, need_program
from tests.service.serving import program

RULE_TESTS = """\
rule_files: [{rules}]
evaluation_interval: 1m
tests:
  - name: no worker is scraped
    interval: 1m
    input_series: []
    alert_rule_test:
      - {{eval_time: 4m, alertname: DanmatteGone, exp_alerts: []}}
      - eval_time: 6m
        alertname: DanmatteGone
        exp_alerts:
          - exp_labels: {{severity: page}}
            exp_annotations:
              summary: Prometheus scrapes no worker of danmatte
              description: Players probably show comments over people. Check the pods, then the scraping.
  - name: refusals in a load of a thousand a minute
    interval: 1m
    input_series:
      - {{series: 'danmatte_workers{{job="a", namespace="n"}}', values: "2x60"}}
      - {{series: 'danmatte_requests_total{{job="a", namespace="n", outcome="answered"}}', values: "0+1000x60"}}
      - {{series: 'danmatte_rejected_total{{job="a", namespace="n", code="queue_full"}}', values: "0+5x20 100+50x40"}}
      - {{series: 'danmatte_rejected_total{{job="a", namespace="n", code="corrupt_picture"}}', values: "0+500x60"}}
    alert_rule_test:
      - {{eval_time: 19m, alertname: DanmatteOverloaded, exp_alerts: []}}
      - {{eval_time: 59m, alertname: DanmatteGone, exp_alerts: []}}
      - {{eval_time: 59m, alertname: DanmatteFailing, exp_alerts: []}}
    promql_expr_test:
      - expr: count(ALERTS{{alertname="DanmatteOverloaded", alertstate="firing"}})
        eval_time: 45m
        exp_samples: [{{labels: "{{}}", value: 1}}]
  - name: a pod that was replaced, and one whose container restarts repeatedly
    interval: 1m
    input_series:
      - {{series: 'danmatte_start_time_seconds{{job="a", pod="old"}}', values: "100x20"}}
      - {{series: 'danmatte_start_time_seconds{{job="a", pod="new"}}', values: "_x20 1300x60"}}
      - {{series: 'danmatte_start_time_seconds{{job="b", pod="poor"}}', values: "100x9 700x9 1300x9 1900x9 2500x30"}}
    alert_rule_test:
      - {{eval_time: 30m, alertname: DanmatteRestarting, exp_alerts: []}}
    promql_expr_test:
      - expr: count by (job) (ALERTS{{alertname="DanmatteRestarting", alertstate="firing"}})
        eval_time: 55m
        exp_samples: [{{labels: '{{job="b"}}', value: 1}}]
"""


def test_promtool_accepts_the_rules() -> None:
    done = subprocess.run([need_program("promtool"), "check", "rules", str(RULES)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_only_under_their_conditions(tmp_path: Path) -> None:
    promtool = need_program("promtool")
    tests = tmp_path / "tests.yaml"
    tests.write_text(RULE_TESTS.format(rules=RULES))
    done = subprocess.run([promtool, "test", "rules", str(tests)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_metrics() -> None:
    metrics = Metrics()
    timing = Timing()
    with timing.phase("infer"):
        pass
    metrics.count_answer("mattes", 200, timing, 0.02)
    metrics.count_rejection("queue_full")
    command = [need_program("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=metrics.render(), capture_output=True)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()


@pytest.fixture
def prometheus(models: Path, tmp_path: Path, jpeg: bytes) -> Iterator[str]:
    """A Prometheus that scrapes a server of two workers every second, with our rules; its address."""
    command = need_program("prometheus")
    with program(models, "--workers", "2", "--cores", "1") as (_, url):
        for _ in range(20):
            request = urllib.request.Request(f"{url}/v1/mattes", jpeg, {"Content-Type": "image/jpeg"})
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200
        scraped = url.removeprefix("http://")
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": "danmatte", "static_configs": [{"targets": [scraped]}]}],
        }
        (tmp_path / "prometheus.json").write_text(json.dumps(config))  # YAML, too
        with subprocess.Popen(
            [
                command,
                f"--config.file={tmp_path / 'prometheus.json'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                "--web.listen-address=127.0.0.1:0",
            ],
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield next(find_addresses(process))
            finally:
                process.kill()


def find_addresses(process: "subprocess.Popen[str]") -> Iterator[str]:
    """Yield the addresses on which it listens, from its log."""
    for line in process.stderr:
        if "address=127.0.0.1:" in line and "Listening" in line:
            yield "http://" + line.partition("address=")[2].split()[0]


def ask(address: str, query: str) -> list[dict[str, object]]:
    """Return a query's result; wait until it has one."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with (
            suppress(HTTPError),  # 503 while it starts
            urllib.request.urlopen(f"{address}/api/v1/query?query={quote(query)}", timeout=30) as answer,
        ):
            if found := json.load(answer)["data"]["result"]:
                return found
        time.sleep(0.5)
    raise AssertionError(f"{query}: no result")


@pytest.mark.slow
def test_a_real_prometheus_counts_both_workers_and_every_post_once(prometheus: str) -> None:
    assert ask(prometheus, "danmatte_workers")[0]["value"][1] == "2"
    answered = ask(prometheus, 'sum(danmatte_requests_total{protocol="mattes", outcome="answered"})')
    assert answered[0]["value"][1] == "20"
    assert ask(prometheus, "up")[0]["value"][1] == "1"
    with urllib.request.urlopen(f"{prometheus}/api/v1/rules", timeout=30) as answer:
        rules = json.load(answer)["data"]["groups"][0]["rules"]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
    assert len(rules) == 6
