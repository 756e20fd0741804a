"""Probabilities that rise more slowly."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Soften(Step):
    """Multiplies the logits before the head's sigmoid by ``sharpness``, so that enlarged outlines follow the logits.

    With probabilities close to 0 and 1, an enlarged outline is half-way between two places, whatever the logits are.
    After softening it is where the logits change their sign.
    """

    sharpness: float

    kind: ClassVar[str] = "soften"

    def __post_init__(self) -> None:
        if isinstance(self.sharpness, bool) or not 0 < self.sharpness <= 1:
            raise InputError(f"soften: sharpness: expected a number above 0 and up to 1, found {self.sharpness!r}")

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        model = openvino.read(source)
        surgery.soften_sigmoid(model, self.sharpness)
        return openvino.save(model, target), f"logits times {self.sharpness:g}"
