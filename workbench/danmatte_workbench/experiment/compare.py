"""How far candidates are from their source: scores that are found once for each graph, precision and set of frames."""

import dataclasses
import hashlib
import math
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from danmatte.contract.measurement import Measurement
from danmatte_workbench.configuration import reconfigure
from danmatte_workbench.dataset import BACKGROUND, PERSON, Dataset
from danmatte_workbench.errors import MachineError
from danmatte_workbench.experiment.store import Workspace
from danmatte_workbench.kinds import find_kinds
from danmatte_workbench.labels import UNCLASSIFIED
from danmatte_workbench.metrics import Score, score_mask
from danmatte_workbench.metrics.accuracy import Accuracy, ScoredFrames
from danmatte_workbench.metrics.agreement import FrameLabels, TensorScore, check_numbers, label_kinds, score_tensors
from danmatte_workbench.metrics.base import CONFIDENCE
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.runtimes.isa_levels import SWITCH, choose_precision
from danmatte_workbench.source import Source

COUNTS = 2  # grows with what a score holds
COMPARISONS, TRUTHS = "comparisons", "truths"


@dataclass(frozen=True)
class Comparison:
    """Compares subjects on ``data``: masks with the truth, or with the source's where there is none; or tensors.

    whole: all frames that the source is asked about in one go, where ``data`` is a part of them.
    """

    source: Source
    data: Dataset
    workspace: Workspace
    whole: Dataset | None = None

    @cached_property
    def frames(self) -> str:
        """The digest of the frames and their masks."""
        return digest_frames(self.data)

    @cached_property
    def original(self) -> Subject:
        """The source, which others are compared with."""
        return Subject.from_source(self.source)

    @property
    def uses_own_answers(self) -> bool:
        """Whether the source's answers are what others are to agree with."""
        return self.source.meaning != "person" or not self.data.labelled

    @cached_property
    def answers_path(self) -> Path:
        """Where the source's own answers are kept; found once, since all frames are read for it."""
        frames = self.frames if self.whole is None else digest_frames(self.whole)
        return self.workspace.results.locate(TRUTHS, {**self.compose_question(self.original), "frames": frames}, ".npz")

    def compose_question(self, subject: Subject, level: str = "") -> dict[str, Any]:
        """All that the comparison's answer depends on, as plain data."""
        # 8-bit arithmetic differs between instruction sets, so the host's count.
        truth = self.original.identity if self.uses_own_answers else "masks"
        features = list(self.workspace.host.features)
        facts = {
            "frames": self.frames,
            "truth": truth,
            "meaning": self.source.meaning,
            "features": features,
            "counts": COUNTS,
        }
        return {**_run_at(subject, level).identity, **facts, **({"level": level} if level else {})}

    def is_done(self, subject: Subject, level: str = "") -> bool:
        """Whether the subject was compared before; without labels the source was when its own answers are there."""
        if self.uses_own_answers and subject == self.original:
            return self.answers_path.exists()
        return self.workspace.results.get(COMPARISONS, self.compose_question(subject, level)) is not None

    def get_seconds(self, subject: Subject, level: str = "") -> float:
        """What the comparison took, once it is done."""
        found = self.workspace.results.get(COMPARISONS, self.compose_question(subject, level))
        return float(found["seconds"]) if found else 0.0

    def measure(
        self,
        subject: Subject,
        *,
        time_s: float = math.inf,
        level: str = "",
        confidence: float = CONFIDENCE,
        anew: bool = False,
    ) -> Accuracy:
        """What the subject lost.

        level: the newest instruction sets that oneDNN's kernels may use; all that this CPU has, if empty. confidence,
        anew: of the interval, as `ScoredFrames.measure` has them.
        Raises InputError when no frame can tell, MachineError when it takes longer than ``time_s`` seconds or the
        workspace's limits.
        """
        found = self.gather([(subject, self.data)], time_s=time_s, level=level)
        return found.measure(self.workspace.host, confidence=confidence, anew=anew)

    def gather(
        self, picks: Sequence[tuple[Subject, Dataset]], *, time_s: float = math.inf, level: str = ""
    ) -> ScoredFrames:
        """The scores of subjects on parts of the frames, one after the other, beside the source's."""
        scores: list[Any] = []
        own: list[Score] = []
        before = {} if self.uses_own_answers else {score.name: score for score in self._ask(self.original)}
        for subject, frames in picks:
            wanted = set(frames.names)
            part = [score for score in self._ask(subject, time_s, level) if score.name in wanted]
            scores += part
            own += [before[score.name] for score in part if score.name in before]
        return ScoredFrames(scores, None if self.uses_own_answers else own, self.data.kinds, self.data.scenes)

    def measure_source(self) -> tuple[Measurement, ...]:
        """The source's figures; of itself it loses nothing. Without labels its answers are kept, and none is told."""
        if self.uses_own_answers:
            self._ensure_answers()
            return ()
        return self.measure(self.original).measurements

    def compute_losses(self, subject: Subject) -> dict[str, float]:
        """By frame, how much less of the truth the subject finds than the source; more is worse. None for tensors."""
        if self.source.meaning != "person":
            return {}
        before = {}
        if self.data.labelled:
            before = {score.name: score.iou for score in self._ask(self.original)}
        return {score.name: before.get(score.name, 1.0) - score.iou for score in self._ask(subject)}

    def tabulate_losses(self, subjects: Mapping[str, Subject]) -> list[dict[str, object]]:
        """By frame, with its kind of scene, the points that each subject loses in it; nothing for tensors."""
        losses = {name: self.compute_losses(subject) for name, subject in subjects.items()}
        return [
            {
                "frame": frame,
                "kind": self.data.kinds.get(frame, ""),
                "lost": {name: round(100 * lost[frame], 3) for name, lost in losses.items() if frame in lost},
            }
            for frame in self.data.names
            if any(frame in lost for lost in losses.values())
        ]

    def _ask(self, subject: Subject, time_s: float = math.inf, level: str = "") -> list[Any]:
        """The subject's scores on all frames: from the results, or from a process of its own."""
        question = self.compose_question(subject, level)
        limits: dict[str, Any] = {"time_s": time_s, "of_trial": subject != self.original}
        limits["environment"] = {SWITCH: level} if level else {}
        kept = self.workspace.results.get(COMPARISONS, question)
        person = self.source.meaning == "person"
        if kept is None:
            started = time.monotonic()
            answers = self._ensure_answers() if self.uses_own_answers else None
            compare = compare_masks if person else compare_tensors
            scores = self.workspace.isolate(compare, _run_at(subject, level), self.data, answers, **limits)
            found = [dataclasses.asdict(score) for score in scores]
            kept = {"found": found, "seconds": time.monotonic() - started}
            self.workspace.results.put(COMPARISONS, question, kept)
        if person:
            return [Score(**item) for item in kept["found"]]
        return [
            TensorScore(item["name"], tuple(item["kinds"]), tuple(map(tuple, item["samples"])))
            for item in kept["found"]
        ]

    def _ensure_answers(self) -> Path:
        """Where the source's own answers are; they are asked for once."""
        path = self.answers_path
        if not path.exists():
            keep = keep_masks if self.source.meaning == "person" else keep_tensors
            frames = self.whole or self.data
            self.workspace.isolate(keep, self.original, frames, path, of_trial=False)
        return path


def _run_at(subject: Subject, level: str) -> Subject:
    """The subject as a CPU of that level would run it; as it is for none."""
    if not level:
        return subject
    precision = choose_precision(level, subject.configuration.precision)
    return dataclasses.replace(subject, configuration=reconfigure(subject.configuration, precision=precision))


# What follows runs in processes of its own.


def time_inference(subject: Subject, data: Dataset) -> float:
    """Seconds of one inference, the fastest of a few: enough to guess what hundreds will take."""
    pictures = [subject.framing.fit_exactly(frame.pixels) for frame in data]
    run = subject.load_all()
    run(pictures[0])
    took = []
    for picture in pictures:
        started = time.perf_counter()
        run(picture)
        took.append(time.perf_counter() - started)
    return min(took)


def keep_masks(subject: Subject, data: Dataset, target: Path) -> None:
    """Write the subject's masks to ``target`` (.npz), as the truth that others are to agree with."""
    _write(target, {frame.name: np.packbits(mask, axis=None) for frame, mask in subject.predict_masks(data)})


def compare_masks(subject: Subject, data: Dataset, truth: Path | None) -> list[Score]:
    """The subject's scores, against the dataset's own masks or those in ``truth``."""
    kept = dict(np.load(truth)) if truth else {}
    scores = []
    for frame, mask in subject.predict_masks(data):
        right = frame.truth
        if truth:
            bits = np.unpackbits(kept[frame.name], count=mask.size).reshape(mask.shape)
            right = np.where(bits > 0, PERSON, BACKGROUND).astype(np.uint8)
        assert right is not None, f"{frame.name} has no mask"
        scores.append(score_mask(frame.name, mask, right))
    return scores


def keep_tensors(subject: Subject, data: Dataset, target: Path) -> None:
    """Write all tensors that the subject answers to ``target`` (.npz), for others to agree with.

    Raises InputError for a frame on which it answers what is no number.
    """
    answers = {frame.name: tensors for frame, tensors in subject.predict_tensors(data)}
    check_numbers(list(answers), list(answers.values()), subject.kinds)
    numbered = {
        f"{number} {name}": tensor for name, tensors in answers.items() for number, tensor in enumerate(tensors)
    }
    _write(target, numbered)


def compare_tensors(subject: Subject, data: Dataset, truth: Path) -> list[TensorScore]:
    """How far the subject's tensors are from those in ``truth``. Raises InputError where it answers with others."""
    kept = np.load(truth)
    outputs = 1 + max(int(name.split()[0]) for name in kept.files)
    answers = {frame.name: tensors for frame, tensors in subject.predict_tensors(data)}
    files = [file for file in data.files if file.name in answers]  # a video's last frames may be missing
    names = [file.name for file in files]
    source = [tuple(kept[f"{number} {name}"] for number in range(outputs)) for name in names]
    kinds = subject.kinds or tuple(each.kind for each in find_kinds(source, subject.framing.size))
    labels = [FrameLabels(file.class_number, file.boxes, subject.framing.size) for file in files]
    return score_tensors(names, source, [answers[name] for name in names], label_kinds(kinds, data), labels)


def digest_frames(data: Dataset) -> str:
    """sha256 over the frames' names, pixels and masks."""
    total = hashlib.sha256()
    for frame in data:
        total.update(f"{frame.name} {frame.pixels.shape}".encode())
        total.update(frame.pixels.tobytes())
        total.update(b"" if frame.truth is None else frame.truth.tobytes())
        total.update(b"" if frame.class_number == UNCLASSIFIED else f"class {frame.class_number}".encode())
        total.update(b"" if frame.boxes is None else repr(frame.boxes).encode())
    return total.hexdigest()


def _write(target: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file whole or not at all. Raises MachineError where it can't be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=".", suffix=".npz", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        Path(unfinished).replace(target)
    except OSError as error:
        raise MachineError(f"{target}: can't be written ({error})") from error
