"""The whole graph, as OpenVINO's own converter gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workbench.artifact import Artifact
from workbench.backends import openvino
from workbench.steps.base import Kitchen, Step


@dataclass(frozen=True)
class Convert(Step):
    """The graph to IR, its input fixed to ``shape`` (1, H, W, 3); nothing is cut off."""

    shape: tuple[int, ...]

    kind: ClassVar[str] = "convert"
    from_source: ClassVar[Mapping[str, str]] = {"shape": "shape"}

    def apply(self, source: Path, target: Path, kitchen: Kitchen) -> tuple[Artifact, str]:
        model = openvino.convert(source, shape=self.shape)
        return openvino.save(model, target), f"input {self.shape}"
