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
    """Doubles the output stride, from 8 to 16, by undoing dilation; this halves the work.

    The public DeepLab graphs were trained at 16 and exported at 8. A graph that is already at ``trained_at`` is
    refused.
    """

    trained_at: int = 16

    kind: ClassVar[str] = "stride"
    revision: ClassVar[int] = 2

    @property
    def work(self) -> float:
        return 0.45  # about half of the layers have a quarter of their places, and the others are unchanged

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        model = openvino.read(source)
        stride = surgery.compute_output_stride(model)
        if stride >= self.trained_at:
            raise InputError(f"stride: expected an output stride below {self.trained_at}, found {stride}")
        old, new = surgery.double_stride(model)
        return openvino.save(model, target), f"features {old[0]}×{old[1]} became {new[0]}×{new[1]}"
