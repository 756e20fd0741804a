"""A killed run is resumed: finished tasks aren't repeated, and no process is left over."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.workbench import graphs, tiny

ROOT = Path(__file__).parents[3]
GRAPH = "segmenter.onnx"  # run by OpenVINO alone, so processes start fast
PATIENCE_S = 600.0
WORK = re.compile(r"\] ((?:building|comparing|timing) .*?|round \d+ of \d+ among \d+)(?: \(about .*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Place:
    """The folder of a run."""

    root: Path

    @property
    def command(self) -> list[str]:
        places = {"--models": "models", "--store": "store", "--runs": "runs", "--data": "data", "--json": "facts.json"}
        words = [word for option, name in places.items() for word in (option, str(self.root / name))]
        graph = str(self.root / GRAPH)
        return [sys.executable, "-m", "tests.workbench.resuming", graph, *words, "--max-iou-drop", "5"]

    def kept(self) -> dict[str, tuple[int, int]]:
        """Identity and time of each finished file, by path, to see whether it was written again."""
        files = (self.root / "store").rglob("*")
        facts = ((path, path.stat()) for path in files if path.is_file() and "/." not in str(path))
        return {str(path): (fact.st_ino, fact.st_mtime_ns) for path, fact in facts}

    def count(self, kind: str) -> int:
        return len([path for path in self.kept() if f"/results/{kind}/" in path])


def start(place: Place, name: str) -> subprocess.Popen[str]:
    with (place.root / name).open("w") as log:
        return subprocess.Popen(place.command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, text=True)


def kill(place: Place, name: str, moment: Callable[[], bool]) -> tuple[list[str], dict[str, tuple[int, int]]]:
    """Run until the moment, then send SIGKILL; return the tasks that were started, and the finished files."""
    run, until = start(place, name), time.monotonic() + PATIENCE_S
    try:
        while not moment() and run.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        assert run.poll() is None, (place.root / name).read_text()
        children = psutil.Process(run.pid).children(recursive=True)
    finally:
        run.kill()
        run.wait()
    assert moment(), (place.root / name).read_text()
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    return work(place, name), place.kept()


def work(place: Place, name: str) -> list[str]:
    """Return what a run did, according to its log."""
    return WORK.findall((place.root / name).read_text())


@pytest.mark.timeout(1800)
def test_a_run_resumed_after_a_kill_repeats_no_finished_task(tmp_path: Path) -> None:
    place = Place(tmp_path)
    graphs.write_onnx(tmp_path / GRAPH, "argmax")
    tiny.write_scenes(tmp_path / "data", 12)

    built, first = kill(place, "1.log", lambda: place.count("comparisons") >= 2)
    raced, second = kill(place, "2.log", lambda: place.count("rounds") >= 3)
    assert start(place, "3.log").wait(PATIENCE_S) == 0, (tmp_path / "3.log").read_text()
    done, third = work(place, "3.log"), place.kept()

    assert first.items() <= second.items() <= third.items()
    # Only the task that was running at a kill is started again.
    assert set(built) & set(raced) <= {built[-1]}
    assert set(raced) & set(done) <= {raced[-1]}
    everything = {*built, *raced, *done}
    assert len(built) + len(raced) + len(done) <= len(everything) + 2
    assert {f"round {number} of 4 among 5" for number in (1, 2, 3, 4)} <= everything
    assert "building int8" in built
    assert "building int8" not in raced
    assert "cached: 1 of 4 trials" in (tmp_path / "2.log").read_text()
    assert "cached: 4 of 4 trials" in (tmp_path / "3.log").read_text()
    facts = json.loads((tmp_path / "facts.json").read_text("utf-8"))
    winner = next(trial for trial in facts["trials"] if trial["name"] == facts["winner"])
    assert winner["measurements"]["throughput"]["samples"] == 4
