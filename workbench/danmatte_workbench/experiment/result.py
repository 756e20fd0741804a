"""What a run found, as it goes from the trials to the winner and into the report."""

from dataclasses import dataclass, field

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.budget import Budget
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.source import Source


@dataclass(frozen=True)
class Analysis:
    """What a closer look at the winner saw, as run.json has it; what wasn't looked at is empty."""

    before: list[dict[str, object]] = field(default_factory=list)
    after: list[dict[str, object]] = field(default_factory=list)
    sweep: list[dict[str, object]] = field(default_factory=list)
    isa: list[dict[str, object]] = field(default_factory=list)
    masks: list[dict[str, object]] = field(default_factory=list)
    starts: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True)
class ExperimentResult:
    """What a run found. ``baselines`` hold the trials' metrics; ``fastest`` is the faster one of the source's own.

    frames, calibration_frames: how many there were; choosing_frames chose the winner, confirming_frames confirmed it,
    kinds counts those of each kind of scene; kinds_found: in the pictures, the user said none. origin: where they came
    from. labelled: whether they had masks.
    load: the share of the machine's CPU time, from 0 to 1, that others took while trials were raced.
    scores: what each candidate lost in each of the frames that choose, also where it was rejected.
    winner: None where nothing met the budget.
    """

    source: Source
    host: Host
    budget: Budget
    objective: str
    effort: str
    labelled: bool
    frames: int
    calibration_frames: int
    baselines: dict[str, tuple[Measurement, ...]]
    fastest: str
    trials: tuple[Trial, ...]
    origin: str = ""
    choosing_frames: int = 0
    confirming_frames: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    kinds_found: bool = False
    load: float = 0.0
    scores: list[dict[str, object]] = field(default_factory=list)
    winner: Trial | None = None
    analysis: Analysis = field(default_factory=Analysis)
