"""Small pieces of data that several tests need."""

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.budget import Budget, Verdict
from danmatte_workbench.configuration import configure
from danmatte_workbench.experiment.findings import Findings, Trial
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.recipe import Recipe, StepSpec
from danmatte_workbench.source import Source

HOST = Host(cpu="x", cores=2, memory_bytes=1, features=("avx2",), os="Linux 6", python="3.11.0")


def measured(metric: str, value: float, *, low: float | None = None, high: float | None = None) -> Measurement:
    """A measurement whose interval is a point unless told otherwise."""
    low, high = (value if end is None else end for end in (low, high))
    return Measurement(metric, value, "u", low, high, samples=5, host=HOST)


def recipe(**changes: object) -> Recipe:
    """A recipe of two steps."""
    fields = {
        "name": "r",
        "source": "a" * 64,
        "steps": (StepSpec("cut", 1, {"output": "ArgMax"}), StepSpec("head", 1, {"person": 1})),
        "toolchain": {"openvino": "1.0"},
    }
    return Recipe(**(fields | changes))


def trial(
    name: str,
    *measurements: Measurement,
    broken: tuple[str, ...] = (),
    artifact: Artifact | None = None,
) -> Trial:
    """A trial; it has a candidate if it has an artifact."""
    candidate = Candidate(recipe(name=name), "c" * 64, artifact, ("cut: done",)) if artifact else None
    return Trial(name, name, candidate, configure(), measurements, Verdict(broken))


def findings(source: Source, *trials: Trial) -> Findings:
    """A run with one baseline."""
    return Findings(
        source=source,
        host=HOST,
        budget=Budget(0.5),
        labelled=True,
        frames=7,
        calibration_frames=3,
        baselines={"TensorFlow, oneDNN on": (measured("throughput", 10), measured("speedup", 1))},
        fastest="TensorFlow, oneDNN on",
        trials=trials,
    )
