"""Results of a run, from the race of the trials to the report."""

from dataclasses import dataclass, field

from danmatte.contract.measurement import Host, Measurement
from danmatte_workbench.budget import Budget
from danmatte_workbench.experiment.trial import Trial
from danmatte_workbench.source import Source


@dataclass(frozen=True)
class Analysis:
    """Results of the winner's study, in the form of run.json; what wasn't measured is empty."""

    before: list[dict[str, object]] = field(default_factory=list)
    after: list[dict[str, object]] = field(default_factory=list)
    sweep: list[dict[str, object]] = field(default_factory=list)
    isa: list[dict[str, object]] = field(default_factory=list)
    masks: list[dict[str, object]] = field(default_factory=list)
    starts: list[dict[str, object]] = field(default_factory=list)


@dataclass(frozen=True)
class ExperimentResult:
    """Everything that a run found.

    baselines: measurements by name, in the same metrics as the trials'. fastest: name of the fastest way to run the
    source itself. frames, calibration_frames: number of frames. choosing_frames: those that chose the winner.
    confirming_frames: those that confirmed it. kinds: number of frames of each kind of scene. kinds_found: whether the
    kinds were detected in the frames because the user gave none. origin: where the frames came from. labelled: whether
    they had masks. load: the share of the machine's CPU time, from 0 to 1, that other processes used during the race.
    scores: each candidate's loss in each choosing frame, rejected candidates included. winner: None if no trial met
    the budget.
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
