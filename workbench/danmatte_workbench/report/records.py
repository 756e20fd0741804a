"""Strict reader of a run's ``run.json``, because other programs or people may have written or edited it."""

import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError

FILE = "run.json"
LIMIT_BYTES = 64 * 2**20
MAX_NESTING = 16  # levels of lists and objects in a host or a configuration
LOSSES = ("iou_drop", "disagreement")  # metrics that a budget limits, in points

Count = Annotated[int, Meta(ge=0)]
Side = Annotated[int, Meta(ge=1, le=2**16)]
# The range that a chart can scale without overflow; it is far larger than any measurement.
Value = Annotated[float, Meta(ge=-1e15, le=1e15)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e15)]
Name = Annotated[str, Meta(min_length=1, max_length=300)]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$(?!\n)")]


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Figure(_Strict, frozen=True):
    """A measured value with its 95 % interval."""

    value: Value
    low: Value
    high: Value
    unit: str
    samples: Count

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"Expected low <= value <= high, got {self.low}, {self.value}, {self.high}")


Figures = dict[str, Figure]


class SourceRecord(_Strict, frozen=True):
    """The source graph; ``size`` is (height, width) of its input."""

    name: Name
    digest: str
    format: str
    meaning: Literal["person", "tensors"]
    size: tuple[Side, Side] | None = None


class DataRecord(_Strict, frozen=True):
    """The frames of a run.

    choosing_frames, confirming_frames: number of frames that chose the winner, and that confirmed it; both are all
    frames if there were few. kinds: number of frames of each kind of scene. kinds_found: whether the kinds were
    detected, not given by the user.
    """

    origin: str | None
    labelled: bool
    frames: Count
    calibration_frames: Count
    choosing_frames: Count = 0
    confirming_frames: Count = 0
    kinds: dict[str, Count] = {}
    kinds_found: bool = False


class ConfirmationRecord(_Strict, frozen=True):
    """How a trial was confirmed, with its figures on the choosing frames, overall and by kind of scene."""

    frames: Count
    attempt: Annotated[int, Meta(ge=1)]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    crossed: bool
    choosing: Figures
    choosing_kinds: Figures = {}


class TrialRecord(_Strict, frozen=True):
    """A candidate in one configuration, and why it was accepted or not.

    finalist: whether it was raced for all rounds. kinds: its losses by kind of scene. levels: its losses under older
    instruction sets.
    """

    name: Name
    recipe: str
    digest: str | None
    notes: tuple[str, ...]
    configuration: dict[str, Any]
    measurements: Figures
    accepted: bool
    broken: tuple[str, ...]
    seconds: Value | None = None
    finalist: bool = True
    state: str = ""  # empty in runs of earlier versions
    kinds: Figures = {}
    levels: Figures = {}
    confirmation: ConfirmationRecord | None = None

    @property
    def word(self) -> str:
        """The outcome: accepted, rejected by the budget, or why there is no verdict."""
        return self.state or ("accepted" if self.accepted else "rejected")

    @property
    def worst_kind(self) -> tuple[str, Figure] | None:
        """The kind of scene with the largest loss, and that loss; None without kinds."""
        return max(self.kinds.items(), key=lambda item: item[1].value, default=None)


class LayerRecord(_Strict, frozen=True):
    """One executed layer with its time; for the fields see `LayerTime` of ``benchmark.layers``."""

    name: str
    kind: str
    precision: str
    kernel: str
    ms: Milliseconds
    operations: Count = 0
    size_bytes: Count = 0
    weights: tuple[Count, ...] = ()
    stays_float: str = ""
    source: str = ""


class LayerRecords(_Strict, frozen=True):
    """The layers of the source graph (before) and of the winner (after)."""

    before: tuple[LayerRecord, ...] = ()
    after: tuple[LayerRecord, ...] = ()


class StartRecord(_Strict, frozen=True):
    """Startup of a graph: milliseconds to compile it and for the first inference, and its process' memory then."""

    who: Name
    compile_ms: Milliseconds
    first_ms: Milliseconds
    memory_bytes: Count


class ScoreRecord(_Strict, frozen=True):
    """A choosing frame, and the points that each candidate loses in it, by recipe and precision."""

    frame: str
    kind: str
    lost: dict[str, Value]


class SweepRecord(_Strict, frozen=True):
    """One point of a sweep. agreed: whether its measuring windows agreed."""

    who: Name
    batch: Annotated[int, Meta(ge=1)]
    streams: Count
    threads: Count
    requests: Count
    pinning: bool | None
    throughput: Figure | None
    latency: Figure | None
    agreed: bool
    ratio: Figure | None = None
    note: str = ""


class IsaRecord(_Strict, frozen=True):
    """A candidate limited to an instruction set; ``effective`` is the family of its heavy layers' kernels.

    Its losses are against the same graph without a limit.
    """

    isa: Name
    who: Name
    effective: str
    measurements: Figures
    honoured: bool = True
    note: str = ""


class MaskFiles(_Strict, frozen=True):
    """File names of pictures in ``masks/``; ``label`` is the frame's true mask, if it has one."""

    frame: FileName
    source: FileName
    winner: FileName
    label: FileName | None = None


class MaskRecord(_Strict, frozen=True):
    """A frame with the source's and the winner's mask.

    size: (height, width) of the frame. iou: of the two masks, 0 to 1. lost: points of IoU that the winner loses in it.
    """

    frame: str
    size: tuple[Side, Side]
    files: MaskFiles
    iou: float | None = None
    lost: Value | None = None


class RunRecord(_Strict, frozen=True):
    """Everything that a run found. load: share of CPU time, 0 to 1, that other processes used during the race."""

    schema: Literal[1]
    command: tuple[str, ...]
    started: str
    seconds: Value
    source: SourceRecord
    host: dict[str, Any]
    versions: dict[str, str]
    budget: dict[str, float | None]
    objective: str
    effort: str
    data: DataRecord
    fastest_baseline: str
    baselines: dict[str, Figures]
    trials: tuple[TrialRecord, ...]
    winner: str | None
    nearest: str | None
    published: str | None
    layers: LayerRecords = LayerRecords()
    sweep: tuple[SweepRecord, ...] = ()
    isa: tuple[IsaRecord, ...] = ()
    masks: tuple[MaskRecord, ...] = ()
    starts: tuple[StartRecord, ...] = ()
    scores: tuple[ScoreRecord, ...] = ()
    load: Annotated[float, Meta(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        names = {trial.name for trial in self.trials}
        for word, name in (("winner", self.winner), ("nearest", self.nearest)):
            if name is not None and name not in names:
                raise ValueError(f"Expected `{word}` to name one of the trials, got {name!r}")
        if self.baselines and self.fastest_baseline not in self.baselines:
            raise ValueError(f"Expected `fastest_baseline` to name a baseline, got {self.fastest_baseline!r}")
        for content in (self.host, *(trial.configuration for trial in self.trials)):
            check_nesting(content, MAX_NESTING)

    def trial(self, name: str | None) -> TrialRecord | None:
        """Return the trial of that name; None if there is none."""
        return next((trial for trial in self.trials if trial.name == name), None)

    @property
    def chosen(self) -> TrialRecord | None:
        """The winner, or the nearest trial if nothing met the budget."""
        return self.trial(self.winner) or self.trial(self.nearest)

    @property
    def loss(self) -> str:
        """The metric of the losses: one that the budget limits and that was measured, if there is one."""
        limited = [metric for metric in LOSSES if self.limit(metric) is not None]
        measured = [metric for metric in LOSSES if any(metric in trial.measurements for trial in self.trials)]
        both = [metric for metric in limited if metric in measured]
        return [*both, *limited, *measured, LOSSES[0]][0]

    def limit(self, metric: str) -> float | None:
        """Return the budget's limit of a metric, with or without a unit in its key; None if there is none."""
        for key in (f"max_{metric}", f"max_{metric}_ms"):
            limit = self.budget.get(key)
            if limit is not None and math.isfinite(limit):
                return limit
        return None


# Field names for suggestions when a field is misspelt.
FIELDS = sorted(
    {
        name
        for record in (
            RunRecord,
            SourceRecord,
            DataRecord,
            ConfirmationRecord,
            TrialRecord,
            Figure,
            LayerRecord,
            LayerRecords,
            StartRecord,
            ScoreRecord,
            SweepRecord,
            IsaRecord,
            MaskFiles,
            MaskRecord,
        )
        for name in record.__struct_fields__
    }
)


def check_nesting(content: Any, levels: int) -> None:
    """Raise ValueError for lists and objects that are nested deeper than ``levels``, because formatting recurses."""
    if isinstance(content, dict | list):
        if levels == 0:
            raise ValueError(f"Expected at most {MAX_NESTING} levels of nested lists and objects")
        for item in content.values() if isinstance(content, dict) else content:
            check_nesting(item, levels - 1)


def read_run(place: Path) -> RunRecord:
    """Read a run from its folder or its file. Raises InputError, which names the file and the position in it."""
    path = place / FILE if place.is_dir() else place
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise InputError(f"{path}: expected at most {LIMIT_BYTES} bytes, found {path.stat().st_size}")
        text = path.read_bytes()
    except OSError as error:
        below = sorted(found.parent.relative_to(place).as_posix() for found in place.glob(f"*/{FILE}"))
        hint = f"; the runs there are {', '.join(below[:8])}" if below else ""
        raise InputError(f"{path}: can't be read ({error.strerror}){hint}") from error
    try:
        return msgspec.json.decode(text, type=RunRecord)
    except msgspec.ValidationError as error:
        unknown = re.search(r"unknown field `([^`]*)`", str(error))
        hint = did_you_mean(unknown[1], FIELDS, listed=False) if unknown else ""
        raise InputError(f"{path}: isn't a run: {error}{hint}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: isn't JSON: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path}: isn't a run: lists and objects are nested too deeply") from error
