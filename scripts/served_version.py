"""Choice of the version that `scripts/run` serves: the bundled one, unless the new one is better on this machine."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from danmatte.contract.measurement import Measurement
from danmatte_workbench import hardware, source
from danmatte_workbench.benchmark.benchmark import Rounds, run_benchmark
from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.metrics.subject import Subject

ROUNDS, ROUND_S, FRAMES = 7, 0.4, 8
STOCK, BUNDLED, FRESH = "stock TensorFlow", "the bundled version", "the new version"


@dataclass(frozen=True)
class Choice:
    """The chosen version's folder, and the reason in words."""

    folder: Path
    reason: str


def choose(described: Path, bundled: Path | None, fresh: Path | None) -> Choice:
    """Return the better one of two published versions, raced together with the source of ``described`` in TensorFlow.

    The bundled version was chosen on hundreds of labelled pictures, the fresh one on a few. The fresh one is therefore
    chosen only if it is significantly faster and its latency isn't higher. Raises WorkbenchError if there is neither.
    """
    if fresh is None or bundled is None:
        only = bundled or fresh
        if only is None:
            raise WorkbenchError("there is no version to serve")
        return Choice(only, "it is the only version")
    graph = source.read(described)
    named = {BUNDLED: bundled, FRESH: fresh}
    subjects = [dataclasses.replace(Subject.from_source(graph), name=STOCK)]
    subjects += [
        dataclasses.replace(Subject.from_published(folder), name=name, canvas=graph.size)
        for name, folder in named.items()
    ]
    rounds = run_benchmark(
        subjects, [item.pixels for item in load(SAMPLES).pick(FRAMES)], rounds=ROUNDS, round_s=ROUND_S
    )
    return Choice(named[find_better(rounds)], describe(rounds, (BUNDLED, FRESH)))


def find_better(rounds: Rounds) -> str:
    """Return the fresh version if it is significantly faster and no later with a frame, otherwise the bundled one.

    Its latency may be at most that of the bundled version or of stock TensorFlow, whichever is higher.
    """
    gain = Measurement.estimate_median("ratio", rounds.compute_ratios(FRESH, BUNDLED), "×", hardware.describe_host())
    waits = {name: float(np.median(rounds.latency_ms[name] or [0.0])) for name in (FRESH, BUNDLED)}
    return FRESH if gain.low > 1 and waits[FRESH] <= max(waits[BUNDLED], _find_stock_latency(rounds)) else BUNDLED


def describe(rounds: Rounds, names: Sequence[str]) -> str:
    """Return the versions' speeds over stock TensorFlow in words."""
    host = hardware.describe_host()
    parts = []
    for name in names:
        speedup = Measurement.estimate_median("ratio", rounds.compute_ratios(name, STOCK), "×", host)
        parts.append(f"{name} {speedup.value:.1f} × ({speedup.low:.1f} to {speedup.high:.1f})")
    return f"compared with {STOCK}, measured now on this machine: {', '.join(parts)}"


def _find_stock_latency(rounds: Rounds) -> float:
    return float(np.median(rounds.latency_ms.get(STOCK) or [0.0]))
