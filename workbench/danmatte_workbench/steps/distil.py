"""Training a pruned graph on the outputs of the source."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.distillation.views import ViewSampler, load_frames
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext
from danmatte_workbench.steps.teaching import build_teacher, estimate_teaching_s, find_checkpoint, scale_pieces


@dataclass(frozen=True)
class Distil(Step):
    """Trains the weights on the source's outputs for at most ``frames`` of the user's frames; no labels are needed.

    lessons: training steps of ``batch`` crops, each with a ``share`` of the frame's side, at a learning rate of
        ``rate``.
    features: the weight of the errors of inner feature maps, relative to the output's.
    eight_bits: the share of the steps, at the end, in which the graph computes as its INT8 version will.
    truth: the share of the mask in the target, for frames that have a mask.
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

    @property
    def uses_masks(self) -> bool:
        return self.truth > 0

    def estimate_s(self, frames: int, source_s: float) -> float:
        return estimate_teaching_s(self, frames, source_s)

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.distillation import student
        from danmatte_workbench.distillation.teaching import Distillation, teach
        from danmatte_workbench.graph import reshaping

        model = openvino.read(source)
        teacher, smaller = build_teacher(context), model.clone()
        for graph in (teacher, smaller):
            reshaping.reshape(graph, scale_pieces(reshaping.read_input_size(graph), self.share))
        frames = load_frames(context.calibration, self.frames)
        sampler = ViewSampler(frames, reshaping.read_input_size(teacher), self.share)
        options = Distillation(
            self.lessons, self.batch, self.rate, self.features, self.eight_bits, self.truth, self.seed
        )
        weights, note = teach(smaller, teacher, sampler, options, find_checkpoint(self, source, context))
        student.write_weights(model, weights)
        return openvino.save(model, target), f"{note}, on {len(frames)} frames"
