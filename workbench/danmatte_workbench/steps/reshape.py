"""Another input size, 16:9 above all: a letterboxed square wastes 44 % of its work on a video frame."""

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
    """The graph for pictures of ``height`` × ``width``: resizes, global poolings and the noted grid follow.

    Sides of a multiple of the output stride and one more keep the places where the network was taught to look.
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
        return openvino.save(model, target), f"{before[1]}×{before[0]} is {self.width}×{self.height}"
