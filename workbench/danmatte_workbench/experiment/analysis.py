"""A closer look once the winner is known: how it runs best, on older CPUs, layer by layer, and at its masks."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from danmatte.contract.configuration import Configuration
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.benchmark import sweep
from danmatte_workbench.benchmark.isa import isa
from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import WorkbenchError
from danmatte_workbench.experiment import painting
from danmatte_workbench.experiment.comparison import Comparing, Entrant
from danmatte_workbench.experiment.findings import Trial
from danmatte_workbench.experiment.progress import Progress
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.metrics.contender import Contender, cooked
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.source import Source

SWEEPS, ISAS, LAYERS = "sweeps", "isas", "layers"
PICTURES = 8
ISA_FRAMES = 60
POINT = ("batch", "streams", "threads", "requests", "pinning", "throughput", "latency", "agreed")
ISA_POINT = ("isa", "who", "effective", "measurements")
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Analysis:
    """What was seen, as run.json tells it; what wasn't looked at is empty."""

    before: Rows = field(default_factory=list)
    after: Rows = field(default_factory=list)
    sweep: Rows = field(default_factory=list)
    isa: Rows = field(default_factory=list)
    masks: Rows = field(default_factory=list)


@dataclass(frozen=True)
class Analyst:
    """Looks at graphs made from ``source`` on the frames of ``comparing``; a look that fails is told and left out.

    Sweeps and instruction sets are kept among the results, as comparisons are.
    """

    source: Source
    comparing: Comparing
    results: Results
    limits: ProcessLimits
    progress: Progress

    def sweep(
        self,
        name: str,
        artifact: Artifact,
        base: Configuration,
        *,
        budget_s: float,
        max_latency_ms: float | None = None,
    ) -> tuple[Rows, Any]:
        """The points, and the configuration of the best one as data, or None where nothing beats the usual.

        The best one of those that take a picture at a time: others keep the first picture waiting for the last.
        """

        def look() -> Any:
            tell, pictures = self.progress.tell, self._pictures(artifact)
            points = sweep.sweep(artifact, pictures, budget_s=budget_s, tell=tell, base=base)
            single = [point for point in points if point.setting.batch == 1]
            faster = sweep.best(single, base.hint, max_latency_ms=max_latency_ms or math.inf)
            return [
                [_only(point.facts(), POINT) | {"who": name} for point in points],
                structs.asdict(faster.configuration(base)) if faster else None,
            ]

        question = self._question(artifact, base, budget_s)
        rows, faster = self._kept(SWEEPS, question, f"sweeping {name}", look) or ([], None)
        return rows, faster

    def isa(self, contenders: Sequence[tuple[Contender, Artifact]], *, budget_s: float) -> Rows:
        """Speed and accuracy of these as older CPUs would run them."""

        def look() -> Rows:
            points = isa(
                [contender for contender, _ in contenders],
                self.comparing.data.shuffled(ISA_FRAMES),
                budget_s=budget_s,
                tell=self.progress.tell,
                meaning=self.source.meaning,
            )
            return [_only(point.facts(), ISA_POINT) for point in points]

        questions = [self._question(made, item.configuration, budget_s) for item, made in contenders]
        names = [contender.name for contender, _ in contenders]
        found: Rows = self._kept(ISAS, {"who": names, "what": questions}, "looking at older CPUs", look) or []
        return found

    def layers(self, name: str, artifact: Artifact, configuration: Configuration) -> Rows:
        """Each layer with its milliseconds."""

        def look() -> Rows:
            from danmatte_workbench.metrics.profile import profile

            pictures = self._pictures(artifact)
            limits = self.limits
            found = run_isolated(
                profile, artifact, configuration, pictures, timeout_s=limits.time_s, memory_gib=limits.memory_gib
            )
            return [dataclasses.asdict(layer) for layer in found]

        question = self._question(artifact, configuration, 0.0)
        rows: Rows = self._kept(LAYERS, question, f"profiling {name}", look) or []
        return rows

    def masks(self, winner: Trial, folder: Path) -> Rows:
        """A few frames with both masks, written to ``folder``."""
        assert winner.candidate is not None
        entrant = Entrant(self._contender(winner), winner.candidate.artifact.digest)
        frames = painting.chosen(self.comparing.data, self.comparing.losses(entrant))
        limits = self.limits
        try:
            with self.progress.task("masks", f"painting masks of {len(frames)} frames"):
                rows: Rows = run_isolated(
                    painting.paint,
                    self.comparing.original.contender,
                    entrant.contender,
                    frames,
                    folder,
                    timeout_s=limits.time_s,
                    memory_gib=limits.memory_gib,
                )
        except WorkbenchError as error:
            self.progress.tell(f"masks: {error}")
            return []
        return rows

    def _contender(self, trial: Trial) -> Contender:
        assert trial.candidate is not None
        return cooked(trial.name, self.source, trial.candidate.artifact, trial.configuration)

    def _pictures(self, artifact: Artifact) -> list[np.ndarray]:
        """As the graph takes them."""
        framing = cooked("", self.source, artifact, configure()).framing
        return [framing.fit_exactly(sample.pixels) for sample in self.comparing.data.shuffled(PICTURES)]

    def _question(self, artifact: Artifact, configuration: Configuration, budget_s: float) -> dict[str, Any]:
        return {
            "graph": artifact.digest,
            "configuration": structs.asdict(configuration),
            "frames": self.comparing.frames,
            "budget_s": budget_s,
            "host": structs.asdict(self.comparing.host),
        }

    def _kept(self, kind: str, question: dict[str, Any], text: str, look: Callable[[], Any]) -> Any:
        found = self.results.get(kind, question)
        if found is not None:
            return found
        try:
            with self.progress.task(kind, text):
                found = look()
        except WorkbenchError as error:
            self.progress.tell(f"{text}: {error}")
            return None
        self.results.put(kind, question, found)
        return found


def _only(row: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {key: row[key] for key in keys}
