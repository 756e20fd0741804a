"""The same IRs as older CPUs would run them: ONEDNN_MAX_CPU_ISA in a child's environment, speed and accuracy.

    points = isa([winner, floats], data.shuffled(60), budget_s=60, tell=print)
    rows = [point.facts() for point in points]      for run.json

Each graph is compared with itself, run with all that this CPU has ("native"). ``ratio`` is throughput over native's,
in neighbouring windows. With masks there are ``mean_iou``, and ``iou_drop`` against native; without, ``iou_drop`` is
disagreement with native's own masks; for other tensors there is ``disagreement`` with native's. Levels that this CPU
hasn't are points without measurements, and say what is missing; its highest is what native shows. Whether a level was
heeded is read off the kernels.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from danmatte.contract.measurement import Measurement
from danmatte_workbench import hardware
from danmatte_workbench.benchmark.windows import Patience, Window, gather
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP
from danmatte_workbench.dataset import BACKGROUND, PERSON, Dataset
from danmatte_workbench.errors import InputError, WorkbenchError
from danmatte_workbench.metrics import accuracy, agreement
from danmatte_workbench.metrics.accuracy import Score, score
from danmatte_workbench.metrics.contender import Contender
from danmatte_workbench.processes.child import Child
from danmatte_workbench.runtimes.isa_levels import USUAL, Kernels, find_highest, list_missing, sort_levels

Meaning = Literal["person", "tensors"]
Kind = Literal["scores", "masks", "tensors"]
Mask = tuple[str, tuple[int, ...], np.ndarray]  # name, shape, bits

NATIVE = "native"
SWITCH = "ONEDNN_MAX_CPU_ISA"
PATIENCE = Patience(least=3, most=5)
WINDOW_S = 0.25
PICTURES = 8  # that are timed
ANSWER_S = 600.0


@dataclass(frozen=True)
class IsaPoint:
    """A graph at a level. ``effective`` is the newest family of kernels that its heavy layers ran in (avx2, avx512,
    amx: kernels don't tell finer); native's is the highest level of this CPU.

    honoured: none of them is newer than what was asked for. note: what is odd, or why nothing was measured.
    """

    isa: str
    who: str
    effective: str = ""
    measurements: tuple[Measurement, ...] = ()
    honoured: bool = True
    note: str = ""

    def facts(self) -> dict[str, Any]:
        """The point as plain data, its measurements by metric."""
        return {
            "isa": self.isa,
            "who": self.who,
            "effective": self.effective,
            "honoured": self.honoured,
            "measurements": {item.metric: item.numbers for item in self.measurements},
            "note": self.note,
        }

    def __str__(self) -> str:
        figures = [f"{item.metric} {item}" for item in self.measurements]
        return f"{self.who} at {self.isa}: {', '.join(filter(None, (self.effective, *figures, self.note)))}"


def isa(
    contenders: Sequence[Contender],
    data: Dataset,
    *,
    budget_s: float,
    tell: Callable[[str], None],
    meaning: Meaning = "person",
    levels: Sequence[str] = USUAL,
) -> tuple[IsaPoint, ...]:
    """Every contender, native and at each level from the oldest on that ``budget_s`` seconds are enough for.

    contenders: IRs. data: all its frames are compared. Raises InputError for an unknown level, for a contender that
    isn't an IR, and for frames that can't be read.
    """
    wanted, until = sort_levels(levels), time.monotonic() + budget_s
    kind: Kind = "tensors" if meaning == "tensors" else "scores" if data.labelled else "masks"
    points = []
    with ExitStack() as stack:
        cases = [_Case(Work(contender, data, kind)) for contender in contenders]
        for case in cases:
            points.append(case.begin(stack.enter_context(case.child(NATIVE))))
            tell(str(points[-1]))
        for level in wanted:
            if level == find_highest():
                tell(f"{level} is this CPU's highest: see {NATIVE}")
                continue
            for case in cases:
                points.append(case.at(level, until))
                tell(str(points[-1]))
    return tuple(points)


@dataclass(frozen=True)
class Work:
    """What a child does: the contender's scores, masks or tensors of all frames, and its speed."""

    contender: Contender
    data: Dataset
    kind: Kind

    def __post_init__(self) -> None:
        if self.contender.engine != "openvino" or self.contender.path.suffix != ".xml":
            raise InputError(f"{self.contender.name}: expected an IR, received {self.contender.path.name}")


class Runner:
    """The child's side: a graph at one level."""

    def __init__(self, work: Work) -> None:
        from danmatte_workbench.benchmark.load import Load

        self._work = work
        contender = work.contender
        pictures = [contender.framing.fit_exactly(sample.pixels) for sample in work.data.shuffled(PICTURES)]
        self._load = Load(contender.path, contender.configuration, pictures)
        self._window = self._load.warm(WINDOW_S)

    def __call__(self, question: Literal["kernels", "answers", "window"]) -> Kernels | list[Any] | Window:
        if question == "window":
            return self._window()
        if question == "kernels":
            return self._load.kernels()
        contender, data = self._work.contender, self._work.data
        if self._work.kind == "tensors":
            return [answer for _, answer in contender.tensors(data)]
        masks = contender.masks(data)
        if self._work.kind == "masks":
            return [(sample.name, mask.shape, np.packbits(mask)) for sample, mask in masks]
        return [score(sample.name, mask, sample.truth) for sample, mask in masks if sample.truth is not None]


class _Case:
    """A contender, its native child, and what that one answered."""

    def __init__(self, work: Work) -> None:
        self._work, self._host = work, hardware.host()

    def child(self, level: str) -> Child:
        """A child that runs the contender at ``level``."""
        name = self._work.contender.name
        environment = {} if level == NATIVE else {SWITCH: level}
        return Child(f"{name} at {level}", Runner, self._work, environment=environment)

    def begin(self, native: Child) -> IsaPoint:
        """The native run, that all others are compared with."""
        begun = time.monotonic()
        self._native = native
        kernels: Kernels = native.ask("kernels", timeout_s=ANSWER_S)
        self._answers = native.ask("answers", timeout_s=ANSWER_S)
        found = self._measured(NATIVE, native, kernels, [])
        self._usual_s = time.monotonic() - begun
        return found

    def at(self, level: str, until: float) -> IsaPoint:
        """What is known of that level, or can be measured before ``until``: no faster than native was."""
        name = self._work.contender.name
        if lacks := list_missing(level):
            return IsaPoint(level, name, note=f"skipped: this CPU has no {', '.join(lacks)}")
        if time.monotonic() + self._usual_s > until:
            return IsaPoint(level, name, note=f"not measured: it takes {self._usual_s:.0f} s, too few were left")
        try:
            with self.child(level) as child:
                kernels: Kernels = child.ask("kernels", timeout_s=ANSWER_S)
                return self._measured(level, child, kernels, kernels.describe_newer(level))
        except WorkbenchError as error:
            return IsaPoint(level, name, note=str(error))

    def _measured(self, level: str, child: Child, kernels: Kernels, remarks: list[str]) -> IsaPoint:
        try:
            found = self._accuracy(child)
        except InputError as error:  # nobody in the frames: speed can be told all the same
            found, remarks = [], [*remarks, str(error)]
        windows = gather(_turns(child), _turns(self._native), PATIENCE, until=time.monotonic() + ANSWER_S)
        speeds = [windows.throughput(self._host), windows.latency(self._host)]
        if child is not self._native:
            speeds.append(windows.ratio("ratio", self._host))
        honoured = child is self._native or kernels.honours(level)
        remarks = remarks if windows.agreed else [*remarks, "windows disagree"]
        who = self._work.contender.name
        effective = (find_highest() if child is self._native else None) or kernels.newest
        return IsaPoint(level, who, effective, (*speeds, *found), honoured, "; ".join(remarks))

    def _accuracy(self, child: Child) -> list[Measurement]:
        at_home = child is self._native
        answers = self._answers if at_home else child.ask("answers", timeout_s=ANSWER_S)
        if self._work.kind == "scores":
            found = [accuracy.Metric.all["mean_iou"].measure(answers, self._host)]
            return found if at_home else [*found, accuracy.drop(self._answers, answers, IOU_DROP, self._host)]
        if at_home:
            return []
        if self._work.kind == "tensors":
            return [agreement.disagreement(self._answers, answers, DISAGREEMENT, self._host)]
        return [accuracy.disagreement(_against(self._answers, answers), IOU_DROP, self._host)]


def _turns(child: Child) -> Callable[[], Window]:
    def turn() -> Window:
        window: Window = child.ask("window", timeout_s=ANSWER_S)
        return window

    return turn


def _against(native: Sequence[Mask], answers: Sequence[Mask]) -> list[Score]:
    """How masks agree with native's, which are taken for the truth."""
    pairs = (
        (_mask(mask), np.where(_mask(truth), PERSON, BACKGROUND)) for truth, mask in zip(native, answers, strict=True)
    )
    names = (name for name, _, _ in native)
    return [score(name, mask, truth.astype(np.uint8)) for name, (mask, truth) in zip(names, pairs, strict=True)]


def _mask(packed: Mask) -> np.ndarray:
    _, shape, bits = packed
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)
