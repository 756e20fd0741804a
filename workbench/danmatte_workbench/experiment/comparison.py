"""How far candidates are from their source: scores that are found once for each graph, precision and set of frames."""

import dataclasses
import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.budget import IOU_DROP
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.experiment.answers import agree, answer, believe, compare
from danmatte_workbench.experiment.result_cache import Results
from danmatte_workbench.metrics import accuracy
from danmatte_workbench.metrics.accuracy import Score
from danmatte_workbench.metrics.contender import Contender, stock
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.processes.limits import ProcessLimits
from danmatte_workbench.source import Source

COMPARISONS, TRUTHS = "comparisons", "truths"
LIBRARIES = {"tensorflow": "tensorflow-cpu", "tflite": "tensorflow-cpu", "openvino": "openvino"}


@dataclass(frozen=True)
class Entrant:
    """A contender, and the digest of the graph that it runs."""

    contender: Contender
    digest: str

    @property
    def facts(self) -> dict[str, Any]:
        """All that its answers depend on, beside the frames and the machine."""
        item = self.contender
        return {
            "graph": self.digest,
            "engine": item.engine,
            "library": version(LIBRARIES[item.engine]),
            "device": item.configuration.device,
            "precision": item.configuration.precision,
            "framing": dataclasses.asdict(item.framing),
            "person": item.person,
        }


def original(source: Source, *, onednn: bool = True) -> Entrant:
    """The source graph itself."""
    return Entrant(stock(source, onednn=onednn), source.digest)


@dataclass(frozen=True)
class Comparing:
    """Answers on ``data``: of masks against the truth, or the source's where there is none; or of bare tensors."""

    source: Source
    data: Dataset
    results: Results
    host: Host
    limits: ProcessLimits

    @cached_property
    def frames(self) -> str:
        """The digest of the frames and their masks."""
        total = hashlib.sha256()
        for sample in self.data:
            total.update(f"{sample.name} {sample.pixels.shape}".encode())
            total.update(sample.pixels.tobytes())
            total.update(b"" if sample.truth is None else sample.truth.tobytes())
        return total.hexdigest()

    @property
    def original(self) -> Entrant:
        """Whom others are compared with."""
        return original(self.source)

    @property
    def own_truth(self) -> bool:
        """Whether the source's answers are what others are to agree with."""
        return self.source.meaning != "person" or not self.data.labelled

    def question(self, entrant: Entrant) -> dict[str, Any]:
        """What is asked of the entrant. 8-bit arithmetic differs between instruction sets, so the host's count."""
        truth = self.original.facts if self.own_truth else "masks"
        features = list(self.host.features)
        facts = {"frames": self.frames, "truth": truth, "meaning": self.source.meaning, "features": features}
        return {**entrant.facts, **facts}

    def kept(self, entrant: Entrant) -> bool:
        """Whether the entrant was compared before; without labels the source was when its own answers are there."""
        if self.own_truth and entrant == self.original:
            return self._truth.exists()
        return self.results.get(COMPARISONS, self.question(entrant)) is not None

    def seconds(self, entrant: Entrant) -> float:
        """What the comparison took, once it is kept."""
        found = self.results.get(COMPARISONS, self.question(entrant))
        return float(found["seconds"]) if found else 0.0

    def measure(self, entrant: Entrant) -> list[Measurement]:
        """The metric that a budget limits first, then others. Raises InputError when no frame can tell."""
        found = self.ask(entrant)
        if self.source.meaning != "person":
            return [Measurement(**item, host=self.host) for item in found]
        scores = [Score(**item) for item in found]
        if not self.data.labelled:
            return [accuracy.disagreement(scores, IOU_DROP, self.host)]
        figures = (accuracy.Metric.all[kind].measure(scores, self.host) for kind in ("mean_iou", "boundary_iou"))
        return [accuracy.drop(self._own_scores(), scores, IOU_DROP, self.host), *figures]

    def own(self) -> list[Measurement]:
        """Of the source, what isn't relative to itself; without labels its answers are kept, and there is no more."""
        if self.own_truth:
            self.truth()
            return []
        return self.measure(self.original)[1:]

    def _own_scores(self) -> list[Score]:
        return [Score(**item) for item in self.ask(self.original)]

    def losses(self, entrant: Entrant) -> dict[str, float]:
        """By frame, how much less of the truth the entrant finds than the source; more is worse. None for tensors."""
        if self.source.meaning != "person":
            return {}
        scores = [Score(**item) for item in self.ask(entrant)]
        before = {item.name: item.iou for item in self._own_scores()} if self.data.labelled else {}
        return {item.name: before.get(item.name, 1.0) - item.iou for item in scores}

    def ask(self, entrant: Entrant, *, time_s: float = math.inf) -> Any:
        """What the comparison gives, as data. Raises MachineError when it takes too long or too much.

        ``time_s``: seconds, where they are fewer than the limit.
        """
        question = self.question(entrant)
        kept = self.results.get(COMPARISONS, question)
        if kept is None:
            started = time.monotonic()
            found = self._ask(entrant.contender, time_s)
            kept = {"found": found, "seconds": time.monotonic() - started}
            self.results.put(COMPARISONS, question, kept)
        return kept["found"]

    def _ask(self, contender: Contender, time_s: float) -> list[dict[str, Any]]:
        truth = self.truth() if self.own_truth else None
        if self.source.meaning == "person":
            return _plain(self._isolated(compare, contender, self.data, truth, time_s=time_s))
        return _plain(self._isolated(agree, contender, self.data, truth, self.host, time_s=time_s))

    @property
    def _truth(self) -> Path:
        return self.results.path(TRUTHS, self.question(self.original), ".npz")

    def truth(self) -> Path:
        """The source's own answers, which are asked for once."""
        own = self.original
        path = self._truth
        if not path.exists():
            self._isolated(believe if self.source.meaning == "person" else answer, own.contender, self.data, path)
        return path

    def _isolated(self, function: Any, *arguments: Any, time_s: float = math.inf) -> Any:
        limits = self.limits
        timeout_s = min(limits.time_s, time_s)
        return run_isolated(function, *arguments, timeout_s=timeout_s, memory_gib=limits.memory_gib)


def _plain(items: Sequence[Score] | Sequence[Measurement]) -> list[dict[str, Any]]:
    """As data, without the host that the question names."""
    return [{name: value for name, value in msgspec.to_builtins(item).items() if name != "host"} for item in items]
