"""A pruned graph taught by its own original."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.distillation.views import Views, remembered
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext, make_step
from danmatte_workbench.steps.checkpoint import notebook, smaller


@dataclass(frozen=True)
class Distil(Step):
    """Weights taught by the source's own answers, on at most ``frames`` of the user's frames, without labels.

    ``lessons`` steps of ``batch`` pieces, each a ``share`` of the frame's side, at a learning rate of ``rate``;
    ``features`` is what the inner maps' errors count for beside the answer's. In the last ``eight_bits`` of the
    lessons, a share, the graph computes as its INT8 version will. Frames that have masks answer a share ``truth`` of
    the questions themselves.
    """

    lessons: int = 1600
    batch: int = 8
    rate: float = 3e-4
    features: float = 0.1
    eight_bits: float = 0.3
    truth: float = 0.0
    share: float = 0.625
    frames: int = 1000
    seed: int = 1

    kind: ClassVar[str] = "distil"
    revision: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("openvino", "tensorflow-cpu")

    def __post_init__(self) -> None:
        for name in ("lessons", "batch", "frames"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise InputError(f"distil: {name}: expected a whole number of at least 1, found {value!r}")
        for name in ("rate", "share"):
            if not 0 < (value := getattr(self, name)) <= 1:
                raise InputError(f"distil: {name}: expected a number above 0 and up to 1, found {value!r}")
        for name in ("eight_bits", "truth"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise InputError(f"distil: {name}: expected a share from 0 to 1, found {value!r}")
        if not self.features >= 0:
            raise InputError(f"distil: features: expected a number of at least 0, found {self.features!r}")

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.distillation import distillation, student
        from danmatte_workbench.graph import reshaping

        model = openvino.read(source)
        with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
            teacher = openvino.read(self._teacher(Path(folder), context)).clone()
        pupil = model.clone()
        for graph in (teacher, pupil):
            reshaping.reshape(graph, smaller(reshaping.input_size(graph), self.share))
        frames = remembered(context.calibration, self.frames)
        views = Views(frames, reshaping.input_size(teacher), self.share)
        plan = distillation.Lesson(
            self.lessons, self.batch, self.rate, self.features, self.eight_bits, self.truth, self.seed
        )
        weights, told = distillation.teach(pupil, teacher, views, plan, notebook(self, source, context))
        student.put(model, weights)
        return openvino.save(model, target), f"{told}, on {len(frames)} frames"

    def _teacher(self, folder: Path, context: StepContext) -> Path:
        """The source itself, as far as its logits."""
        path = context.source.path
        for kind in ("cut", "head", "preprocess"):
            artifact, _ = make_step(kind, {}, context.source).apply(path, folder / f"{kind}.xml", context)
            path = artifact.path
        return path
