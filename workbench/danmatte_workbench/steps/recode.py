"""Re-encoding of 8-bit weights that the source already has, for fast kernels."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Recode(Step):
    """Converts the source's own 8-bit weights with zero points to signed bytes, for which 8-bit kernels exist.

    Activations keep their ranges, so no calibration is needed.

    most: the maximum byte: 127, or 63 for CPUs whose 8-bit sums saturate.
    largest_error: the maximum squared change of a layer's kernel, as a share of its squared norm; layers that would
        change by more stay in floats.
    """

    most: int = 127
    largest_error: float = 1.0

    kind: ClassVar[str] = "recode"

    def __post_init__(self) -> None:
        if type(self.most) is not int or not 15 <= self.most <= 127:
            raise InputError(f"recode: most: expected a whole number from 15 to 127, found {self.most!r}")
        if isinstance(self.largest_error, bool) or not 0 <= self.largest_error <= 1:
            raise InputError(f"recode: largest_error: expected a number from 0 to 1, found {self.largest_error!r}")

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import preprocessing, recoding

        model = openvino.read(source)
        found = recoding.recode_weights(model, self.most, self.largest_error)
        direct = preprocessing.feed_bytes(model)
        note = f"{found.layers} of {found.of} layers, {found.exact} of {found.channels} channels unchanged"
        return openvino.save(model, target), f"{note}{', the first convolution reads bytes' * direct}"
