"""INT8 after training."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from workbench.artifact import Artifact
from workbench.backends import openvino
from workbench.errors import InputError
from workbench.steps.base import Kitchen, Step


@dataclass(frozen=True)
class Quantize(Step):
    """Weights and activations to 8 bits with NNCF, calibrated on at most ``frames`` of the user's frames.

    ``performance`` quantizes activations symmetrically, ``mixed`` asymmetrically where values may be negative.
    """

    preset: Literal["performance", "mixed"] = "performance"
    fast_bias_correction: bool = True
    frames: int = 64

    kind: ClassVar[str] = "quantize"
    libraries: ClassVar[tuple[str, ...]] = ("openvino", "nncf")

    def __post_init__(self) -> None:
        if self.preset not in ("performance", "mixed"):
            raise InputError(f"quantize: preset: expected performance or mixed, found {self.preset!r}")

    def apply(self, source: Path, target: Path, kitchen: Kitchen) -> tuple[Artifact, str]:
        from workbench.backends import nncf

        model = openvino.read(source)
        if model.input(0).get_element_type().get_type_name() != "u8":
            raise InputError("quantize: expected a graph that takes uint8 pictures; put preprocess before it")
        pictures = kitchen.pictures(self.frames)
        quantized = nncf.quantize(
            model,
            pictures,
            preset=self.preset,
            fast_bias_correction=self.fast_bias_correction,
            frames=len(pictures),
        )
        return openvino.save(quantized, target), f"{self.preset}, {len(pictures)} frames"
