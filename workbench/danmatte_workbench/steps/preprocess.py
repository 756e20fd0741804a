"""Input of pixels as cameras and decoders deliver them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext

PIXELS = ("RGB", "BGR", "NV12")


@dataclass(frozen=True)
class Preprocess(Step):
    """Makes the input uint8, and builds the network's colour order and (pixel − mean) / scale into the graph.

    ``pixels`` other than RGB are for the user's own programs: published versions take uint8 RGB only, and so does
    calibration. To change the input to NV12 or BGR, add a second preprocess step after quantize. A graph that takes
    uint8 already keeps its mean and scale.
    """

    colour: Literal["RGB", "BGR"]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    pixels: Literal["RGB", "BGR", "NV12"] = "RGB"

    kind: ClassVar[str] = "preprocess"
    revision: ClassVar[int] = 2
    from_source: ClassVar[Mapping[str, str]] = {"colour": "colour", "mean": "mean", "scale": "scale"}

    def __post_init__(self) -> None:
        for name, choices in (("colour", PIXELS[:2]), ("pixels", PIXELS)):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"preprocess: {name}: expected one of {', '.join(choices)}, found {value!r}")
        for name in ("mean", "scale"):
            value = getattr(self, name)
            if len(value) != 3 or not all(isinstance(number, int | float) for number in value):
                raise InputError(f"preprocess: {name}: expected three numbers, found {value!r}")
        if 0 in self.scale:
            raise InputError(f"preprocess: scale: expected no zero, found {self.scale!r}")

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import preprocessing

        model = openvino.read(source)
        if model.input(0).get_element_type().get_type_name() != "u8":
            preprocessing.embed_normalisation(model, colour=self.colour, mean=self.mean, scale=self.scale)
        if self.pixels != "RGB":
            model = preprocessing.set_pixel_format(model, self.pixels)
        return openvino.save(model, target), f"uint8 {self.pixels}, network in {self.colour}"
