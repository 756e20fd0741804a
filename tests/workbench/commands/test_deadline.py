"""An effort keeps its time limit, even on a busy machine."""

import multiprocessing
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from danmatte_workbench.experiment.search import LEVELS

MODEL = Path(__file__).parents[3] / "models/deeplab/frozen_inference_graph.pb"


def spin() -> None:
    """Keep a core busy."""
    while True:
        pass


@pytest.fixture
def busy() -> Iterator[None]:
    """Keep the machine busy with two processes."""
    spinners = [multiprocessing.get_context("spawn").Process(target=spin, daemon=True) for _ in range(2)]
    for process in spinners:
        process.start()
    yield
    for process in spinners:
        process.kill()
        process.join()


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("busy")
def test_a_quick_run_with_too_short_trials_ends_in_time_with_a_plain_message(tmp_path: Path) -> None:
    words = ["optimize", str(MODEL), "--effort", "quick", "--trial-s", "1"]
    places = [word for name in ("models", "runs", "store") for word in (f"--{name}", str(tmp_path / name))]
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "danmatte_workbench", *words, *places], capture_output=True, check=False, text=True
    )
    took = time.monotonic() - started
    assert done.returncode in (0, 1)
    assert took < 1.1 * LEVELS["quick"].limit_s
    if done.returncode:
        assert re.search("out of time after|nothing met the budget", done.stderr)
        assert "--effort" in done.stderr
    assert "Traceback" not in done.stderr
    assert not re.search(r"━|\b[A-Z]\w+Error\b", done.stdout + done.stderr)
