"""The output stride that the network was trained at."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph import surgery
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Stride(Step):
    """Half the output stride that was lost to dilation back: 8 to 16, at half the work.

    The public DeepLab graphs were trained at 16 and exported at 8. A graph at ``trained_at`` already is refused.
    """

    trained_at: int = 16

    kind: ClassVar[str] = "stride"
    revision: ClassVar[int] = 2

    @property
    def work(self) -> float:
        return 0.45  # half of the layers have a quarter of their places, the others keep theirs

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        model = openvino.read(source)
        stride = surgery.compute_output_stride(model)
        if stride >= self.trained_at:
            raise InputError(f"its output stride is {stride} already")
        old, new = surgery.double_stride(model)
        return openvino.save(model, target), f"features {old[0]}×{old[1]} are {new[0]}×{new[1]} now"
