"""Accuracy of candidates relative to their source. Scores are cached by graph, precision and set of frames."""

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

COUNTS = 2  # part of the cache key; raise it when the content of a score changes
COMPARISONS, TRUTHS = "comparisons", "truths"


@dataclass(frozen=True)
class Comparison:
    """Compares subjects on ``data``: masks with the true ones, or with the source's if there are none; or tensors.

    whole: if ``data`` is a part of other frames, all of them; the source's own outputs are computed on all at once.
    """

    source: Source
    data: Dataset
    workspace: Workspace
    whole: Dataset | None = None

    @cached_property
    def frames(self) -> str:
        """Digest of the frames and their labels."""
        return digest_frames(self.data)

    @cached_property
    def original(self) -> Subject:
        """The source, with which the others are compared."""
        return Subject.from_source(self.source)

    @property
    def uses_own_answers(self) -> bool:
        """Whether the source's own outputs are the reference, because there are no true masks to compare with."""
        return self.source.meaning != "person" or not self.data.labelled

    @cached_property
    def answers_path(self) -> Path:
        """Path of the source's own outputs. Computed once, because its digest needs the pixels of all frames."""
        frames = self.frames if self.whole is None else digest_frames(self.whole)
        return self.workspace.results.locate(TRUTHS, {**self.compose_key(self.original), "frames": frames}, ".npz")

    def compose_key(self, subject: Subject, level: str = "") -> dict[str, Any]:
        """Return everything that the comparison's result depends on, as plain data."""
        # Results of 8-bit arithmetic differ between instruction sets, so the host's are part of the key.
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
        """Whether the comparison is cached; for the source without labels, whether its outputs are stored."""
        if self.uses_own_answers and subject == self.original:
            return self.answers_path.exists()
        return self.workspace.results.get(COMPARISONS, self.compose_key(subject, level)) is not None

    def get_seconds(self, subject: Subject, level: str = "") -> float:
        """Return the seconds that the comparison took; 0 if it isn't done."""
        found = self.workspace.results.get(COMPARISONS, self.compose_key(subject, level))
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
        """Return the accuracy that the subject loses.

        level: the newest instruction sets that oneDNN's kernels may use; empty for all that this CPU has. confidence,
        anew: options of the interval, see `ScoredFrames.measure`.
        Raises InputError when no frame is usable, MachineError when it takes longer than ``time_s`` seconds or exceeds
        the workspace's limits.
        """
        found = self.gather([(subject, self.data)], time_s=time_s, level=level)
        return found.measure(self.workspace.host, confidence=confidence, anew=anew)

    def gather(
        self, picks: Sequence[tuple[Subject, Dataset]], *, time_s: float = math.inf, level: str = ""
    ) -> ScoredFrames:
        """Return the scores of each subject on its part of the frames, together with the source's scores there."""
        scores: list[Any] = []
        own: list[Score] = []
        before = {} if self.uses_own_answers else {score.name: score for score in self._get_scores(self.original)}
        for subject, frames in picks:
            wanted = set(frames.names)
            part = [score for score in self._get_scores(subject, time_s, level) if score.name in wanted]
            scores += part
            own += [before[score.name] for score in part if score.name in before]
        return ScoredFrames(scores, None if self.uses_own_answers else own, self.data.kinds, self.data.scenes)

    def measure_source(self) -> tuple[Measurement, ...]:
        """Return the source's accuracy. Without labels there is none: store its outputs and return nothing."""
        if self.uses_own_answers:
            self._ensure_answers()
            return ()
        return self.measure(self.original).measurements

    def compute_losses(self, subject: Subject) -> dict[str, float]:
        """Return the IoU that the subject loses against the source, by frame; higher is worse. Empty for tensors."""
        if self.source.meaning != "person":
            return {}
        before = {}
        if self.data.labelled:
            before = {score.name: score.iou for score in self._get_scores(self.original)}
        return {score.name: before.get(score.name, 1.0) - score.iou for score in self._get_scores(subject)}

    def tabulate_losses(self, subjects: Mapping[str, Subject]) -> list[dict[str, object]]:
        """Return a row for each frame: its kind of scene, and the points that each subject loses. Empty for tensors."""
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

    def _get_scores(self, subject: Subject, time_s: float = math.inf, level: str = "") -> list[Any]:
        """Return the subject's scores on all frames, from the cache or computed in a child process."""
        key = self.compose_key(subject, level)
        limits: dict[str, Any] = {"time_s": time_s, "of_trial": subject != self.original}
        limits["environment"] = {SWITCH: level} if level else {}
        kept = self.workspace.results.get(COMPARISONS, key)
        person = self.source.meaning == "person"
        if kept is None:
            started = time.monotonic()
            answers = self._ensure_answers() if self.uses_own_answers else None
            compare = compare_masks if person else compare_tensors
            scores = self.workspace.isolate(compare, _run_at(subject, level), self.data, answers, **limits)
            found = [dataclasses.asdict(score) for score in scores]
            kept = {"found": found, "seconds": time.monotonic() - started}
            self.workspace.results.put(COMPARISONS, key, kept)
        if person:
            return [Score(**item) for item in kept["found"]]
        return [
            TensorScore(item["name"], tuple(item["kinds"]), tuple(map(tuple, item["samples"])))
            for item in kept["found"]
        ]

    def _ensure_answers(self) -> Path:
        """Return the path of the source's own outputs, which are computed if they aren't stored."""
        path = self.answers_path
        if not path.exists():
            keep = keep_masks if self.source.meaning == "person" else keep_tensors
            frames = self.whole or self.data
            self.workspace.isolate(keep, self.original, frames, path, of_trial=False)
        return path


def _run_at(subject: Subject, level: str) -> Subject:
    """Return the subject in the precision that a CPU of that level would use; unchanged if ``level`` is empty."""
    if not level:
        return subject
    precision = choose_precision(level, subject.configuration.precision)
    return dataclasses.replace(subject, configuration=reconfigure(subject.configuration, precision=precision))


# The functions below run in child processes.


def time_inference(subject: Subject, data: Dataset) -> float:
    """Return the seconds of the fastest of a few inferences, to estimate how long hundreds will take."""
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
    """Write the subject's masks to ``target`` (.npz), as the reference for other subjects."""
    _write(target, {frame.name: np.packbits(mask, axis=None) for frame, mask in subject.predict_masks(data)})


def compare_masks(subject: Subject, data: Dataset, truth: Path | None) -> list[Score]:
    """Return the subject's scores against the masks in ``truth``, or against the dataset's own if it is None."""
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
    """Write all of the subject's output tensors to ``target`` (.npz), as the reference for other subjects.

    Raises InputError for a frame with NaN or infinity in an output other than boxes.
    """
    answers = {frame.name: tensors for frame, tensors in subject.predict_tensors(data)}
    check_numbers(list(answers), list(answers.values()), subject.kinds)
    numbered = {
        f"{number} {name}": tensor for name, tensors in answers.items() for number, tensor in enumerate(tensors)
    }
    _write(target, numbered)


def compare_tensors(subject: Subject, data: Dataset, truth: Path) -> list[TensorScore]:
    """Return the scores of the subject's tensors against those in ``truth``. Raises InputError like `score_tensors`."""
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
    """Return the SHA-256 of the frames' names, pixels and labels (masks, class numbers, boxes)."""
    total = hashlib.sha256()
    for frame in data:
        total.update(f"{frame.name} {frame.pixels.shape}".encode())
        total.update(frame.pixels.tobytes())
        total.update(b"" if frame.truth is None else frame.truth.tobytes())
        total.update(b"" if frame.class_number == UNCLASSIFIED else f"class {frame.class_number}".encode())
        total.update(b"" if frame.boxes is None else repr(frame.boxes).encode())
    return total.hexdigest()


def _write(target: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write the file atomically. Raises MachineError if it can't be written."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=".", suffix=".npz", dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        Path(unfinished).replace(target)
    except OSError as error:
        raise MachineError(f"{target}: can't be written ({error})") from error
