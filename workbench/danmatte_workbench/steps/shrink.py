"""A smaller input, which makes all layers cheaper."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Shrink(Step):
    """Reshapes the graph for pictures of about ``share`` of its height and width, also if the size was fixed.

    Work decreases with the square of ``share``. Small objects are lost first. The best share depends on the pictures,
    so it has to be tried.
    """

    share: float

    kind: ClassVar[str] = "shrink"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"shrink: share: expected a number between 0 and 1, found {self.share!r}")

    @property
    def work(self) -> float:
        return self.share**2

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import reshaping

        model = openvino.read(source)
        before = reshaping.read_input_size(model)
        size = reshaping.scale_size(before, self.share)
        if not (size[0] < before[0] and size[1] < before[1]):
            raise InputError(f"shrink: {before[1]}×{before[0]} is too small for a share of {self.share:g}")
        reshaping.reshape(model, size)
        return openvino.save(model, target), f"{before[1]}×{before[0]} became {size[1]}×{size[0]}"
