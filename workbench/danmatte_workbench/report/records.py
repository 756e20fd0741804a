"""A run as its folder tells it: ``run.json``, read strictly, because others may have written or edited it."""

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
MAX_NESTING = 16  # levels of what a host or a configuration holds
LOSSES = ("iou_drop", "disagreement")  # what a budget limits, in points

Count = Annotated[int, Meta(ge=0)]
Side = Annotated[int, Meta(ge=1, le=2**16)]
# What a chart can still scale without overflowing, and far more than anything measures.
Value = Annotated[float, Meta(ge=-1e15, le=1e15)]
Milliseconds = Annotated[float, Meta(ge=0, le=1e15)]
Name = Annotated[str, Meta(min_length=1, max_length=300)]
FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$(?!\n)")]


class _Strict(Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Figure(_Strict, frozen=True):
    """A measured value with the ends of its 95 % interval."""

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
    """The graph that everything was made from; ``size`` is its input's (height, width)."""

    name: Name
    digest: str
    format: str
    meaning: Literal["person", "tensors"]
    size: tuple[Side, Side] | None = None


class DataRecord(_Strict, frozen=True):
    """What it was measured on; ``kinds`` counts the frames of each kind of scene, found in them or said by the user.

    Some frames chose the winner, others confirmed it; both are all frames where those were few.
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
    """How a trial was confirmed, and the figures that it had been chosen by, on the whole and by kind of scene."""

    frames: Count
    attempt: Annotated[int, Meta(ge=1)]
    confidence: Annotated[float, Meta(ge=0, le=1)]
    crossed: bool
    choosing: Figures
    choosing_kinds: Figures = {}


class TrialRecord(_Strict, frozen=True):
    """A candidate in one configuration, and why it was accepted or not; a ``finalist`` was raced to the end.

    kinds: its losses by kind of scene. levels: its losses under older instruction sets.
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
    state: str = ""  # empty in runs from before there were words for it
    kinds: Figures = {}
    levels: Figures = {}
    confirmation: ConfirmationRecord | None = None

    @property
    def word(self) -> str:
        """What became of it: accepted, rejected by the budget, or why there is no verdict."""
        return self.state or ("accepted" if self.accepted else "rejected")

    @property
    def worst_kind(self) -> tuple[str, Figure] | None:
        """The kind of scene that loses most, and what it loses."""
        return max(self.kinds.items(), key=lambda item: item[1].value, default=None)


class LayerRecord(_Strict, frozen=True):
    """One executed layer and its share of an inference; ``source`` is what the source calls it, where that is known.

    weights: their shape. stays_float: why it doesn't compute in 8 bits, where others do.
    """

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
    """The same network before and after."""

    before: tuple[LayerRecord, ...] = ()
    after: tuple[LayerRecord, ...] = ()


class StartRecord(_Strict, frozen=True):
    """What it takes until a graph answers for the first time, and the memory that its process has then."""

    who: Name
    compile_ms: Milliseconds
    first_ms: Milliseconds
    memory_bytes: Count


class ScoreRecord(_Strict, frozen=True):
    """A frame of those that choose, and the points that each candidate loses in it, by recipe and precision."""

    frame: str
    kind: str
    lost: dict[str, Value]


class SweepRecord(_Strict, frozen=True):
    """One point of the sweep; ``agreed`` if its measuring windows did."""

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
    """A candidate limited to an instruction set; ``effective`` names the kernels that its heavy layers ran in.

    Its losses are against the same graph as this CPU runs it without a limit.
    """

    isa: Name
    who: Name
    effective: str
    measurements: Figures
    honoured: bool = True
    note: str = ""


class MaskFiles(_Strict, frozen=True):
    """Names of pictures in ``masks/``; ``label`` is the frame's own mask, where it has one."""

    frame: FileName
    source: FileName
    winner: FileName
    label: FileName | None = None


class MaskRecord(_Strict, frozen=True):
    """A frame, (height, width), its two masks, how well they agree (0 to 1), and the points of IoU that it costs."""

    frame: str
    size: tuple[Side, Side]
    files: MaskFiles
    iou: float | None = None
    lost: Value | None = None


class RunRecord(_Strict, frozen=True):
    """Everything that a run found; ``load`` is the share of the CPUs that others took while trials were raced."""

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
        """The trial of that name."""
        return next((trial for trial in self.trials if trial.name == name), None)

    @property
    def chosen(self) -> TrialRecord | None:
        """The winner, or what came nearest where nothing met the budget."""
        return self.trial(self.winner) or self.trial(self.nearest)

    @property
    def loss(self) -> str:
        """The metric that the budget limits."""
        limited = [metric for metric in LOSSES if self.limit(metric) is not None]
        measured = [metric for metric in LOSSES if any(metric in trial.measurements for trial in self.trials)]
        both = [metric for metric in limited if metric in measured]
        return [*both, *limited, *measured, LOSSES[0]][0]

    def limit(self, metric: str) -> float | None:
        """The budget's limit of a metric, whatever unit its key ends in."""
        for key in (f"max_{metric}", f"max_{metric}_ms"):
            limit = self.budget.get(key)
            if limit is not None and math.isfinite(limit):
                return limit
        return None


# The names that a misspelt field may have meant.
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
    """Raises ValueError for lists and objects inside each other beyond so many levels: writing them would recurse."""
    if isinstance(content, dict | list):
        if levels == 0:
            raise ValueError(f"Expected at most {MAX_NESTING} levels of lists and objects inside each other")
        for item in content.values() if isinstance(content, dict) else content:
            check_nesting(item, levels - 1)


def read_run(place: Path) -> RunRecord:
    """The run in the folder, or in the file. Raises InputError that names the file and the place in it."""
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
        raise InputError(f"{path}: isn't a run: lists and objects lie inside each other too deeply") from error
