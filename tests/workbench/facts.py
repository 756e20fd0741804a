"""Test data for several tests."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.budget import Budget, Verdict
from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.progress import LineDisplay, Progress
from danmatte_workbench.experiment.result import ExperimentResult
from danmatte_workbench.experiment.store import Candidate, Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.recipe import Recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import Cut, Head

HOST = Host(cpu="x", cores=2, memory_bytes=1, features=("avx2",), os="Linux 6", python="3.11.0")
CUT, HEAD = Cut("0:Conv", "ArgMax", (1, 65, 65, 3)), Head(1)


@dataclass
class Clock:
    """A clock that tests set."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def measured(metric: str, value: float, *, low: float | None = None, high: float | None = None) -> Measurement:
    """Return a measurement; by default its interval is the value alone."""
    low, high = (value if end is None else end for end in (low, high))
    return Measurement(metric, value, "u", low, high, samples=5, host=HOST)


def recipe(**changes: object) -> Recipe:
    """Return a recipe of two steps, with some fields changed."""
    fields: dict[str, Any] = {
        "name": "r",
        "about": "a test",
        "meaning": "person",
        "effort": "quick",
        "priority": 1,
        "source": "a" * 64,
        "steps": (CUT, HEAD),
    }
    return Recipe(**(fields | changes))


def trial(
    name: str,
    *measurements: Measurement,
    broken: tuple[str, ...] = (),
    artifact: Artifact | None = None,
) -> Trial:
    """Return a trial; it has a candidate if ``artifact`` is given."""
    own = recipe(name=name)
    candidate = Candidate(own, "c" * 64, artifact, ("cut: done",)) if artifact else None
    return Trial(name, own, configure(), candidate=candidate, measurements=measurements, verdict=Verdict(broken))


def result(source: Source, *trials: Trial, winner: Trial | None = None) -> ExperimentResult:
    """Return the result of a run with one baseline."""
    return ExperimentResult(
        source=source,
        host=HOST,
        budget=Budget(0.5),
        objective="throughput",
        effort="quick",
        labelled=True,
        frames=7,
        calibration_frames=3,
        baselines={"TensorFlow, oneDNN on": (measured("throughput", 10), measured("speedup", 1))},
        fastest="TensorFlow, oneDNN on",
        trials=trials,
        winner=winner,
    )


def workspace(folder: Path, *, time_s: float = 240.0, lines: list[str] | None = None) -> Workspace:
    """Return a workspace in ``folder``; its progress is appended to ``lines``."""
    progress = Progress(LineDisplay((lines if lines is not None else []).append))
    return Workspace(folder, ProcessLimits(time_s), progress, HOST)
