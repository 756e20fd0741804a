"""The source's output resolution for a graph whose stride was doubled."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext
from danmatte_workbench.steps.teaching import build_teacher


@dataclass(frozen=True)
class Refine(Step):
    """Adds the logits between those of the coarser stride, fitted to the source's on at most ``frames`` frames.

    The fit is a logistic regression on features that the graph computes anyway. It takes a minute; distillation takes
    an hour. After ``quantize`` it uses the features of the 8-bit graph, so it also corrects some of their errors.
    """

    frames: int = 120

    kind: ClassVar[str] = "refine"

    def __post_init__(self) -> None:
        if type(self.frames) is not int or self.frames < 1:
            raise InputError(f"refine: frames: expected a whole number of at least 1, found {self.frames!r}")

    def estimate_s(self, frames: int, source_s: float) -> float:
        return 20.0 + 1.5 * min(frames, self.frames) * source_s

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.distillation.refining import refine
        from danmatte_workbench.graph import reshaping

        model, teacher = openvino.read(source), build_teacher(context)
        size = reshaping.read_input_size(model)
        if size != reshaping.read_input_size(teacher):
            reshaping.reshape(teacher, size)
        pictures = context.pictures(self.frames, size)
        note = refine(model, teacher, pictures)
        return openvino.save(model, target), f"{note}, on {len(pictures)} frames"
