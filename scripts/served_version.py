"""Which version `scripts/run` serves: the one that comes along, unless the one just made is better here."""

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
STOCK, BUNDLED, FRESH = "stock TensorFlow", "the version that comes along", "the new version"


@dataclass(frozen=True)
class Choice:
    """The version's folder, and in words why it was chosen."""

    folder: Path
    reason: str


def choose(described: Path, bundled: Path | None, fresh: Path | None) -> Choice:
    """The better one of two published versions of the model in ``described``, raced beside its source in TensorFlow.

    The bundled one was chosen on hundreds of labelled pictures, the fresh one on a few: so that one has to be surely
    faster, and must not keep a frame longer. Raises WorkbenchError where there is neither.
    """
    if fresh is None or bundled is None:
        only = bundled or fresh
        if only is None:
            raise WorkbenchError("there is no version to serve")
        return Choice(only, "there is no other one")
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
    """The fresh version where it surely does more frames a second without keeping one longer, else the bundled one."""
    gain = Measurement.estimate_median("ratio", rounds.compute_ratios(FRESH, BUNDLED), "×", hardware.describe_host())
    waits = {name: float(np.median(rounds.latency_ms[name] or [0.0])) for name in (FRESH, BUNDLED)}
    return FRESH if gain.low > 1 and waits[FRESH] <= max(waits[BUNDLED], _find_stock_latency(rounds)) else BUNDLED


def describe(rounds: Rounds, names: Sequence[str]) -> str:
    """Speeds over stock TensorFlow, in words."""
    host = hardware.describe_host()
    parts = []
    for name in names:
        speedup = Measurement.estimate_median("ratio", rounds.compute_ratios(name, STOCK), "×", host)
        parts.append(f"{name} {speedup.value:.1f} × ({speedup.low:.1f} to {speedup.high:.1f})")
    return f"beside {STOCK}, on this machine, now: {', '.join(parts)}"


def _find_stock_latency(rounds: Rounds) -> float:
    return float(np.median(rounds.latency_ms.get(STOCK) or [0.0]))
