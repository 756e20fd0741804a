"""What a run found."""

from dataclasses import dataclass

from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.budget import Budget, Verdict
from danmatte_workbench.experiment.store import Candidate
from danmatte_workbench.source import Source

THROUGHPUT, SPEEDUP = "throughput", "speedup"


@dataclass(frozen=True)
class Trial:
    """A candidate in one configuration: what was measured, and the verdict on it.

    ``candidate`` is None, and ``verdict`` says why, where it could not even be cooked. ``finalist`` is one that was
    raced to the end: others' speeds come from a few rounds, enough to see that somebody else is faster. ``canvas`` is
    the (height, width) of the pictures that it was handed; its input's, if None.
    """

    name: str
    recipe: str
    candidate: Candidate | None
    configuration: Configuration
    measurements: tuple[Measurement, ...]
    verdict: Verdict
    seconds: float = 0.0
    finalist: bool = True
    canvas: tuple[int, int] | None = None

    def measured(self, metric: str) -> Measurement | None:
        """The measurement of that metric, if there is one."""
        return next((item for item in self.measurements if item.metric == metric), None)


@dataclass(frozen=True)
class Findings:
    """What all trials of a run gave. ``baselines`` hold the trials' metrics; ``fastest`` is stock's better one."""

    source: Source
    host: Host
    budget: Budget
    labelled: bool
    frames: int
    calibration_frames: int
    baselines: dict[str, tuple[Measurement, ...]]
    fastest: str
    trials: tuple[Trial, ...]
    origin: str = ""
