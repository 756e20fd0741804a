"""A small experiment on a graph that only needs OpenVINO, and a fake race with known speeds."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from danmatte_workbench import dataset
from danmatte_workbench.benchmark.benchmark import Rounds
from danmatte_workbench.budget import Budget
from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment import run as running
from danmatte_workbench.experiment.race import BenchmarkConfig, RaceStage, Standings
from danmatte_workbench.experiment.run import Experiment, ExperimentRun
from danmatte_workbench.experiment.search import Effort
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.graph import probing
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.recipe import find_recipe
from danmatte_workbench.source import Source
from danmatte_workbench.steps import make_step
from tests.workbench import graphs, tiny
from tests.workbench.facts import workspace

EFFORT = Effort("quick", calibration=3, frames=6, rounds=4, round_s=0.01, first_rounds=2, finalists=2)
ONE = configure(precision="f32", streams=1, threads=1, infer_requests=1)
STOCK = "OpenVINO, the source"


class KnownRace:
    """A fake race. ``speeds`` has frames a second by a part of the name, 10 for all others. The latency follows from
    the speed, unless ``latencies`` has milliseconds for a part of the name.
    """

    speeds: ClassVar[dict[str, float]] = {}
    latencies: ClassVar[dict[str, float]] = {}
    frames: ClassVar[int] = 5
    dropouts: ClassVar[dict[str, str]] = {}
    held: ClassVar[list["KnownRace"]] = []

    def __init__(self, config: BenchmarkConfig, subjects: Sequence[Subject], baselines: Sequence[str]) -> None:
        self.config = config
        self.subjects = {subject.name: subject for subject in subjects}
        self.baselines = list(baselines)
        self.rated: dict[str, float | None] = {}
        KnownRace.held.append(self)

    def __enter__(self) -> "KnownRace":
        return self

    def __exit__(self, *_: object) -> None:
        """Do nothing."""

    def run(self, trials: Sequence[str], rate: Callable[[str, Rounds], float | None], **_: int) -> Standings:
        """Return the speeds of all; the fastest two with a rating are finalists."""
        self.config.on_round("round 1 of 1")
        names = [name for name in self.subjects if name not in self.dropouts]
        speeds = {name: [self.find_speed(name)] * 5 for name in names}
        waits = {name: [self.find_latency_ms(name)] * self.frames for name in names}
        stage = RaceStage(Rounds(speeds, waits))
        self.rated = {name: rate(name, stage.rounds) for name in trials}
        hopeful = sorted(
            (name for name in trials if self.rated[name] is not None), key=lambda name: -self.find_speed(name)
        )
        return Standings(dict.fromkeys(names, stage), frozenset(hopeful[:2]), dict(self.dropouts))

    def find_speed(self, name: str) -> float:
        """Return frames a second."""
        return next((speed for part, speed in self.speeds.items() if part in name), 10.0)

    def find_latency_ms(self, name: str) -> float:
        """Return milliseconds a frame."""
        known = (latency for part, latency in self.latencies.items() if part in name)
        return next(known, 1000 / self.find_speed(name))


@pytest.fixture
def known_race(monkeypatch: pytest.MonkeyPatch) -> type[KnownRace]:
    """Replace races with `KnownRace`."""
    monkeypatch.setattr(running, "Race", KnownRace)
    speeds = {"int8": 40.0, "float": 20.0}
    known = {"speeds": speeds, "latencies": {}, "frames": 5, "dropouts": {}, "held": []}
    for name, value in known.items():
        monkeypatch.setattr(KnownRace, name, value)
    return KnownRace


def run_here(
    self: Workspace,
    function: Callable[..., Any],
    *arguments: Any,
    time_s: float = 0.0,
    environment: dict[str, str] | None = None,
    of_trial: bool = True,
) -> Any:
    """Replace `Workspace.isolate`, without a child process, which takes seconds to start."""
    return function(*arguments)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run isolated functions in this process."""
    monkeypatch.setattr(Workspace, "isolate", run_here)


def find_source(folder: Path) -> Source:
    """Return a segmenter of two classes as ONNX."""
    path = folder / "segmenter.onnx"
    if not path.exists():
        graphs.write_onnx(path, "argmax")
    return probing.inspect(path)


def make_run(folder: Path, *, lines: list[str] | None = None, masks: bool = True, **changes: Any) -> ExperimentRun:
    """Return a run of two recipes and one that can't be applied; it resumes what is in ``folder``."""
    data = folder / ("data" if masks else "bare")
    if not data.exists():
        tiny.write_scenes(data, 6, masks=masks)
    source = find_source(folder)
    whole, quantized = (find_recipe(name, source) for name in ("float", "int8"))
    broken = replace(whole, name="broken", steps=(make_step("cut", {"output": "nowhere"}, source),))
    experiment = Experiment(
        source=source,
        data=dataset.load(data),
        calibration=dataset.load(data).pick(3),
        trials=tuple(Trial.propose(item, ONE, source.size) for item in (whole, quantized, broken)),
        budget=Budget(5.0),
        effort=EFFORT,
        objective="throughput",
    )
    return ExperimentRun(replace(experiment, **changes), workspace(folder / "store", lines=lines))
