"""The output stride that the network was trained at."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from workbench.artifact import Artifact
from workbench.backends import openvino, surgery
from workbench.steps.base import Kitchen, Step


@dataclass(frozen=True)
class Stride(Step):
    """Output stride 8 to 16: the public DeepLab graphs were trained at 16 and exported at 8, at twice the work."""

    kind: ClassVar[str] = "stride"

    def apply(self, source: Path, target: Path, kitchen: Kitchen) -> tuple[Artifact, str]:
        model = openvino.read(source)
        old, new = surgery.halve_resolution(model)
        return openvino.save(model, target), f"features {old} wide are {new} now"
