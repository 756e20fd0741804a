"""Another input size, above all 16:9: with a square, letterboxed input, 44 % of the work on a video frame is wasted."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte.contract.ports import PICTURE_SIDES
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Reshape(Step):
    """Reshapes the graph for pictures of ``height`` × ``width``, with its resizes, global poolings and stored grid.

    Sides of a multiple of the output stride plus one keep the sampling positions that the network was trained with.
    """

    height: int
    width: int

    kind: ClassVar[str] = "reshape"

    def __post_init__(self) -> None:
        for name in ("height", "width"):
            side = getattr(self, name)
            if type(side) is not int or side not in PICTURE_SIDES:
                limits = f"{PICTURE_SIDES[0]} to {PICTURE_SIDES[-1]}"
                raise InputError(f"reshape: {name}: expected a whole number from {limits}, found {side!r}")

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import reshaping

        model = openvino.read(source)
        before = reshaping.reshape(model, (self.height, self.width))
        return openvino.save(model, target), f"{before[1]}×{before[0]} became {self.width}×{self.height}"
