"""INT8 after training."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from danmatte_workbench.artifact import Artifact, digest, graph_files
from danmatte_workbench.configuration import configure
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.quantization import similarity
from danmatte_workbench.quantization.options import Choices
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext

F32 = configure(precision="f32")


@dataclass(frozen=True)
class Quantize(Choices, Step):
    """Weights and activations to 8 bits with NNCF, calibrated on the user's frames.

    With a ``max_drop``, what was found out about a layer is kept in the user's cache, and a killed run goes on there.
    """

    kind: ClassVar[str] = "quantize"
    revision: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("openvino", "nncf")

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import preprocessing
        from danmatte_workbench.quantization import nncf

        model = openvino.read(source)
        size = _picture_size(model)
        frames = context.pictures(self.frames, size)
        if self.max_drop:
            control = Control(self, source, context, size)
            model = nncf.quantize_within(model, frames, self, judge=control.judge, frames=len(control.likeness.samples))
            words = f", {control.told()}"
        else:
            model, words = nncf.quantize(model, frames, self), ""
        direct = preprocessing.feed_bytes(model)
        note = f"{self.preset}, {len(frames)} frames{words}{', bytes straight into the first convolution' * direct}"
        return openvino.save(model, target), note


def _picture_size(model: Any) -> tuple[int, int]:
    from danmatte_workbench.graph import preprocessing

    port = model.input(0)
    shape = port.get_partial_shape()
    if port.get_element_type().get_type_name() != "u8":
        raise InputError("quantize: expected a graph that takes uint8 pictures; put preprocess before it")
    if preprocessing.accepted(model) != "RGB" or len(shape) != 4 or shape[3] != 3 or shape.is_dynamic:
        raise InputError(
            f"quantize: expected a graph of uint8 RGB (1, H, W, 3), found {shape}; let it take others after"
        )
    return shape[1].get_length(), shape[2].get_length()


class Control:
    """What NNCF's accuracy control asks: figures of compiled graphs on some frames, each found once and kept."""

    def __init__(self, step: Quantize, source: Path, context: StepContext, size: tuple[int, int]) -> None:
        from danmatte_workbench.graph import surgery
        from danmatte_workbench.quantization.journal import Journal, cache_folder

        samples = _checked(context.calibration, step)
        float_graph = similarity.runner(openvino.compile_(source, F32))
        grid = surgery.read_grid(openvino.read(source))
        self.likeness = similarity.of(samples, context.source.framing, size, grid, float_graph)
        key = _digest([digest(*graph_files(source)), dict(step.spec.fields), step.revision], context.calibration)
        self._journal = Journal(cache_folder() / "rankings" / f"{key}.jsonl")
        self._limit = step.max_drop
        self._means: list[float] = []
        self._asked = 0

    def judge(self, compiled: Any, numbers: Sequence[int]) -> list[float]:
        """The figures, from the journal where they are there; whole rounds are told on stderr."""
        from danmatte_workbench.quantization.journal import fingerprint

        key = f"{fingerprint(compiled)} {','.join(map(str, numbers))}"
        figures = self._journal.recall(key, lambda: self.likeness.judge(similarity.runner(compiled), numbers))
        self._asked += 1
        if len(numbers) == len(self.likeness.samples):
            self._means.append(sum(figures) / len(figures))
            if len(self._means) > 1:
                print(f"quantize: {self.told()}", file=sys.stderr, flush=True)
        return figures

    def told(self) -> str:
        """The last whole round in words."""
        first, *others = self._means
        lost = 100 * (first - others[-1]) if others else 0.0
        truth = "labels" if self.likeness.labelled else "the float graph's answers"
        back = max(0, len(others) - 1)
        return f"{back} groups of layers back in f32: {lost:.2f} points lost of {self._limit:g}, by {truth}"


def _digest(facts: list[Any], frames: Dataset) -> str:
    """sha256 over everything that figures depend on: the facts, the frames and their masks."""
    total = hashlib.sha256(json.dumps([*facts, frames.digest()], sort_keys=True, default=list).encode())
    for sample in frames:
        total.update(b"" if sample.truth is None else sample.truth.tobytes())
    return total.hexdigest()


def _checked(frames: Dataset, step: Quantize) -> list[Any]:
    """Frames that weren't calibrated on where there are enough of them."""
    everything = list(frames.shuffled(step.frames + step.checked_frames))
    return everything[-min(step.checked_frames, len(everything)) :]
