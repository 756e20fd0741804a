"""Speed and accuracy of IRs under older instruction sets, set by ONEDNN_MAX_CPU_ISA in a child's environment.

    points = measure_isa_levels([winner, floats], data.pick(60), budget_s=60, report=print)
    rows = [point.to_json() for point in points]      for run.json

Each graph is compared with itself without a limit ("native"). ``ratio`` is throughput divided by native's in adjacent
windows. For data with masks, ``mean_iou`` is measured, and ``iou_drop`` against native. For data without masks,
``iou_drop`` is the disagreement with native's masks. For other tensors, ``disagreement`` with native's is measured.
Levels that this CPU lacks give points without measurements, whose note names the missing features. This CPU's highest
level is omitted, because it equals native. Whether a level was honoured is checked by the names of the kernels.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from danmatte.contract.measurement import Measurement
from danmatte_workbench import hardware
from danmatte_workbench.benchmark.windows import Patience, Window, gather_windows
from danmatte_workbench.budget import DISAGREEMENT, IOU_DROP
from danmatte_workbench.dataset import BACKGROUND, PERSON, Dataset
from danmatte_workbench.errors import InputError, WorkbenchError
from danmatte_workbench.kinds import find_kinds
from danmatte_workbench.metrics import MeanIoU, Score, agreement, score_mask
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.processes.child import Child
from danmatte_workbench.runtimes.isa_levels import SWITCH, USUAL, Kernels, find_highest, list_missing, sort_levels

Meaning = Literal["person", "tensors"]
Kind = Literal["scores", "masks", "tensors"]
Mask = tuple[str, tuple[int, ...], np.ndarray]  # name, shape, bits

NATIVE = "native"
PATIENCE = Patience(min_windows=3, max_windows=5)
WINDOW_S = 0.25
PICTURES = 8  # number of pictures for timing
ANSWER_S = 600.0


@dataclass(frozen=True)
class IsaPoint:
    """Result of a graph at a level.

    effective: the newest family of kernels of its heavy layers (avx2, avx512 or amx, because names of kernels have no
    more detail); for native, this CPU's highest level. honoured: whether no kernel is newer than the level. note:
    remarks, or why nothing was measured.
    """

    isa: str
    who: str
    effective: str = ""
    measurements: tuple[Measurement, ...] = ()
    honoured: bool = True
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the point as plain data, with measurements by metric."""
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


def measure_isa_levels(
    subjects: Sequence[Subject],
    data: Dataset,
    *,
    budget_s: float,
    report: Callable[[str], None],
    meaning: Meaning = "person",
    levels: Sequence[str] = USUAL,
) -> tuple[IsaPoint, ...]:
    """Measure every subject, native and then at each level from the oldest on, until ``budget_s`` seconds are over.

    subjects: IRs. data: frames, all of which are compared. report: called with each result in words. Raises InputError
    for an unknown level, for a subject that isn't an IR, and for frames that can't be read.
    """
    wanted, until = sort_levels(levels), time.monotonic() + budget_s
    kind: Kind = "tensors" if meaning == "tensors" else "scores" if data.labelled else "masks"
    points = []
    with ExitStack() as stack:
        cases = [_LeveledSubject(IsaJob(subject, data, kind)) for subject in subjects]
        for case in cases:
            points.append(case.measure_native(stack.enter_context(case.start_child(NATIVE))))
            report(str(points[-1]))
        for level in wanted:
            if level == find_highest():
                report(f"{level} is this CPU's highest: see {NATIVE}")
                continue
            for case in cases:
                points.append(case.measure_level(level, until))
                report(str(points[-1]))
    return tuple(points)


@dataclass(frozen=True)
class IsaJob:
    """A child's job: compute the subject's scores, masks or tensors on all frames, and time it."""

    subject: Subject
    data: Dataset
    kind: Kind

    def __post_init__(self) -> None:
        if self.subject.engine != "openvino" or self.subject.path.suffix != ".xml":
            raise InputError(f"{self.subject.name}: expected an IR, received {self.subject.path.name}")


class IsaWorker:
    """The child process' side: runs a graph at one level."""

    def __init__(self, job: IsaJob) -> None:
        from danmatte_workbench.benchmark.load import InferenceLoad

        self._job = job
        subject = job.subject
        pictures = [subject.framing.fit_exactly(sample.pixels) for sample in job.data.pick(PICTURES)]
        self._load = InferenceLoad(subject.path, subject.configuration, pictures)
        self._window = self._load.warm_up(WINDOW_S)

    def __call__(self, question: Literal["kernels", "answers", "window"]) -> Kernels | list[Any] | Window:
        if question == "window":
            return self._window()
        if question == "kernels":
            return self._load.list_kernels()
        subject, data = self._job.subject, self._job.data
        if self._job.kind == "tensors":
            return [answer for _, answer in subject.predict_tensors(data)]
        masks = subject.predict_masks(data)
        if self._job.kind == "masks":
            return [(frame.name, mask.shape, np.packbits(mask)) for frame, mask in masks]
        return [score_mask(frame.name, mask, frame.truth) for frame, mask in masks if frame.truth is not None]


class _LeveledSubject:
    """A subject with its native child process and that one's results, with which the levels are compared."""

    def __init__(self, job: IsaJob) -> None:
        self._job, self._host = job, hardware.describe_host()

    def start_child(self, level: str) -> Child:
        """Start a child process that runs the subject at ``level``."""
        name = self._job.subject.name
        environment = {} if level == NATIVE else {SWITCH: level}
        return Child(f"{name} at {level}", IsaWorker, self._job, environment=environment)

    def measure_native(self, native: Child) -> IsaPoint:
        """Measure the subject without a limit. Has to be called before `measure_level`."""
        begun = time.monotonic()
        self._native = native
        kernels: Kernels = native.ask("kernels", timeout_s=ANSWER_S)
        self._answers = native.ask("answers", timeout_s=ANSWER_S)
        found = self._measure(NATIVE, native, kernels, [])
        self._usual_s = time.monotonic() - begun
        return found

    def measure_level(self, level: str, until: float) -> IsaPoint:
        """Measure the subject at a level.

        The point has only a note if this CPU lacks the level, or if measuring would end after ``until``, which is
        estimated by native's duration.
        """
        name = self._job.subject.name
        if lacks := list_missing(level):
            return IsaPoint(level, name, note=f"skipped: this CPU has no {', '.join(lacks)}")
        if time.monotonic() + self._usual_s > until:
            return IsaPoint(level, name, note=f"not measured: it takes {self._usual_s:.0f} s, more than is left")
        try:
            with self.start_child(level) as child:
                kernels: Kernels = child.ask("kernels", timeout_s=ANSWER_S)
                return self._measure(level, child, kernels, kernels.describe_newer(level))
        except WorkbenchError as error:
            return IsaPoint(level, name, note=str(error))

    def _measure(self, level: str, child: Child, kernels: Kernels, remarks: list[str]) -> IsaPoint:
        try:
            found = self._measure_accuracy(child)
        except InputError as error:  # e.g. no people in the frames; speed is measured anyway
            found, remarks = [], [*remarks, str(error)]
        windows = gather_windows(
            partial(_run_window, child), partial(_run_window, self._native), PATIENCE, until=time.monotonic() + ANSWER_S
        )
        speeds = [windows.measure_throughput(self._host), windows.measure_latency(self._host)]
        if child is not self._native:
            speeds.append(windows.measure_ratio("ratio", self._host))
        honoured = child is self._native or kernels.honours(level)
        remarks = remarks if windows.agreed else [*remarks, "windows disagree"]
        who = self._job.subject.name
        effective = (find_highest() if child is self._native else None) or kernels.newest
        return IsaPoint(level, who, effective, (*speeds, *found), honoured, "; ".join(remarks))

    def _measure_accuracy(self, child: Child) -> list[Measurement]:
        at_home = child is self._native
        answers = self._answers if at_home else child.ask("answers", timeout_s=ANSWER_S)
        if self._job.kind == "scores":
            found = [MeanIoU().measure(answers, self._host)]
            return (
                found if at_home else [*found, agreement.measure_iou_drop(self._answers, answers, IOU_DROP, self._host)]
            )
        if at_home:
            return []
        if self._job.kind == "tensors":
            names, subject = [str(number) for number in range(len(answers))], self._job.subject
            kinds = subject.kinds or [each.kind for each in find_kinds(self._answers, subject.framing.size)]
            scores = agreement.score_tensors(names, self._answers, answers, kinds)
            return [agreement.measure_disagreement(scores, DISAGREEMENT, self._host)]
        return [agreement.measure_mask_disagreement(_score_against(self._answers, answers), IOU_DROP, self._host)]


def _run_window(child: Child) -> Window:
    window: Window = child.ask("window", timeout_s=ANSWER_S)
    return window


def _score_against(native: Sequence[Mask], answers: Sequence[Mask]) -> list[Score]:
    """Return the scores of masks against native's, which are taken as the truth."""
    pairs = (
        (_unpack_mask(mask), np.where(_unpack_mask(truth), PERSON, BACKGROUND))
        for truth, mask in zip(native, answers, strict=True)
    )
    names = (name for name, _, _ in native)
    return [score_mask(name, mask, truth.astype(np.uint8)) for name, (mask, truth) in zip(names, pairs, strict=True)]


def _unpack_mask(packed: Mask) -> np.ndarray:
    _, shape, bits = packed
    return np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(bool)
