"""Metrics of one process, and of several that share a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from danmatte.telemetry.metrics import SHARED_FOLDER, Metrics, Traffic
from danmatte.telemetry.timing import Timing


def test_a_phase_can_be_added_while_phases_are_counted() -> None:
    timing, metrics = Timing(), Metrics()
    timing.spend("queue", 1.0)
    for name in timing.phases_ms:
        timing.spend(f"after {name}", 1.0)
    metrics.count_phases(timing)
    assert list(timing.phases_ms) == ["queue", "after queue"]


WORKER = """
from danmatte.telemetry.metrics import Metrics
metrics = Metrics()
for _ in range(3):
    metrics.count_answer("v2", 200, None, 0.02)
metrics.watch("danmatte_gauge", "x", lambda: 7)
metrics.sample()
"""


def test_files_of_dead_workers_are_merged_and_their_totals_are_kept(tmp_path: Path) -> None:
    environment = os.environ | {SHARED_FOLDER: str(tmp_path)}
    page = f"{WORKER.splitlines()[1]}\nprint(Metrics().render().decode())"

    def run_code(code: str) -> str:
        """Return the process id and the output of a separate process."""
        code = f"import os; print(os.getpid()){chr(10)}{code}"
        return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stdout

    for dead in range(1, 4):
        pid = int(run_code(WORKER).split()[0])
        run_code(f"from danmatte.telemetry.metrics import merge_dead_worker{chr(10)}merge_dead_worker({pid})")
        output = run_code(page)
        scraper = int(output.split()[0])
        assert f'danmatte_request_seconds_count{{model="",protocol="v2",region="",version=""}} {3 * dead}.0' in output
        assert (
            f'danmatte_request_seconds_bucket{{le="0.025",model="",protocol="v2",region="",version=""}} {3 * dead}.0'
            in output
        )
        assert "danmatte_gauge" not in output
        run_code(f"from danmatte.telemetry.metrics import merge_dead_worker{chr(10)}merge_dead_worker({scraper})")
        assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_dead.db", "histogram_dead.db"]


BEGINNING = """
import sys
from pathlib import Path
from prometheus_client.mmap_dict import MmapedDict
create = MmapedDict.__init__
def create_slowly(self, name, *given):
    Path(name).touch()
    print("begun", flush=True)
    sys.stdin.readline()
    create(self, name, *given)
MmapedDict.__init__ = create_slowly
from danmatte.telemetry.metrics import Metrics
Metrics()
"""
SCRAPING = """
from danmatte.telemetry.metrics import Metrics
metrics = Metrics()
print("ready", flush=True)
input()
print(metrics.render().decode())
"""


def test_rendering_waits_for_a_worker_that_is_creating_its_files(tmp_path: Path) -> None:
    def running(code: str, first: str) -> subprocess.Popen[str]:
        """Start a process, and wait for its first line of output."""
        command, pipe = [sys.executable, "-c", code], subprocess.PIPE
        process = subprocess.Popen(
            command, env=os.environ | {SHARED_FOLDER: str(tmp_path)}, stdin=pipe, stdout=pipe, text=True
        )
        assert process.stdout.readline().strip() == first
        return process

    with running(SCRAPING, "ready") as scraper, running(BEGINNING, "begun") as worker:
        scraper.stdin.write("\n")
        scraper.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            scraper.wait(0.5)
        worker.communicate(timeout=30)
        output, _ = scraper.communicate(timeout=30)
    assert "danmatte_worker_starts_total 2.0" in output


def test_versions_have_separate_series_up_to_a_limit() -> None:
    metrics = Metrics()
    for version in range(1, 201):
        timing = Timing()
        timing.note_version("deeplab", version)
        timing.spend("infer", 5.0)
        metrics.count_answer("mattes", 200, timing, 0.02, Traffic(1000, 50))
    page = metrics.render().decode()
    assert (
        'danmatte_requests_total{model="deeplab",outcome="answered",protocol="mattes",region="",version="7"} 1.0'
        in page
    )
    assert 'danmatte_phase_seconds_count{model="deeplab",phase="infer",region="",version="7"} 1.0' in page
    others = 'model="other",outcome="answered",protocol="mattes",region="other",version="other"'
    assert f"danmatte_requests_total{{{others}}} 136.0" in page
    assert 'danmatte_received_bytes_total{protocol="mattes"} 200000.0' in page
    assert 'danmatte_sent_bytes_total{protocol="mattes"} 10000.0' in page
    assert 'danmatte_request_bytes_bucket{le="1024.0",protocol="mattes"} 200.0' in page
