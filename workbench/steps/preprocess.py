"""Pixels in, as cameras and decoders give them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workbench.artifact import Artifact
from workbench.backends import openvino, surgery
from workbench.steps.base import Kitchen, Step


@dataclass(frozen=True)
class Preprocess(Step):
    """uint8 RGB input; the network's colour order, (pixel − mean) / scale, inside the graph."""

    colour: str
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    kind: ClassVar[str] = "preprocess"
    from_source: ClassVar[Mapping[str, str]] = {"colour": "colour", "mean": "mean", "scale": "scale"}

    def apply(self, source: Path, target: Path, kitchen: Kitchen) -> tuple[Artifact, str]:
        model = surgery.take_pictures(openvino.read(source), colour=self.colour, mean=self.mean, scale=self.scale)
        return openvino.save(model, target), f"uint8 RGB, network in {self.colour}"
