"""Metrics of one process, and of several that share a folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from danmatte.telemetry.metrics import SHARED_FOLDER, Metrics, Traffic
from danmatte.telemetry.timing import Timing


def test_a_thread_may_add_a_phase_while_the_others_are_counted() -> None:
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


def test_however_many_workers_die_their_files_stay_few_and_their_sums_whole(tmp_path: Path) -> None:
    surroundings = os.environ | {SHARED_FOLDER: str(tmp_path)}
    page = f"{WORKER.splitlines()[1]}\nprint(Metrics().render().decode())"

    def ran(code: str) -> str:
        """Return the process id and the output of a separate process."""
        code = f"import os; print(os.getpid()){chr(10)}{code}"
        return subprocess.run([sys.executable, "-c", code], env=surroundings, capture_output=True, text=True).stdout

    for dead in range(1, 4):
        pid = int(ran(WORKER).split()[0])
        ran(f"from danmatte.telemetry.metrics import merge_dead_worker{chr(10)}merge_dead_worker({pid})")
        said = ran(page)
        scraper = int(said.split()[0])
        assert f'danmatte_request_seconds_count{{model="",protocol="v2",region="",version=""}} {3 * dead}.0' in said
        assert (
            f'danmatte_request_seconds_bucket{{le="0.025",model="",protocol="v2",region="",version=""}} {3 * dead}.0'
            in said
        )
        assert "danmatte_gauge" not in said
        ran(f"from danmatte.telemetry.metrics import merge_dead_worker{chr(10)}merge_dead_worker({scraper})")
        assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_dead.db", "histogram_dead.db"]


BEGINNING = """
import sys
from pathlib import Path
from prometheus_client.mmap_dict import MmapedDict
whole = MmapedDict.__init__
def slowly(self, name, *given):
    Path(name).touch()
    print("begun", flush=True)
    sys.stdin.readline()
    whole(self, name, *given)
MmapedDict.__init__ = slowly
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


def test_a_page_waits_for_a_worker_whose_files_are_begun(tmp_path: Path) -> None:
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
        said, _ = scraper.communicate(timeout=30)
    assert "danmatte_worker_starts_total 2.0" in said


def test_versions_have_series_of_their_own_up_to_a_limit() -> None:
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
