"""Conversion of the whole graph by OpenVINO's own converter."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.graph import conversion
from danmatte_workbench.normalisation import Channels, Normalisation
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Convert(Step):
    """Converts the whole graph to IR that takes uint8 RGB pictures of ``shape`` (1, H, W, 3) and returns ``answers``.

    ``colour``, ``mean`` and ``scale`` are built into the graph if its own input takes ``normalised`` pictures.
    """

    shape: tuple[int, ...]
    answers: tuple[str, ...]
    normalised: bool
    colour: Literal["RGB", "BGR"]
    mean: Channels
    scale: Channels

    kind: ClassVar[str] = "convert"
    revision: ClassVar[int] = 2
    from_source: ClassVar[Mapping[str, str]] = {
        "shape": "shape",
        "answers": "fetches",
        "normalised": "normalised",
        "colour": "colour",
        "mean": "mean",
        "scale": "scale",
    }

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        normalisation = Normalisation(self.colour, self.mean, self.scale) if self.normalised else None
        model = conversion.convert(source, shape=self.shape, normalisation=normalisation, answers=self.answers)
        return openvino.save(model, target), f"input {self.shape}"
