"""Post-training quantization to INT8."""

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from danmatte_workbench.artifact import Artifact, digest, list_graph_files
from danmatte_workbench.cache import find_cache_folder
from danmatte_workbench.dataset import Dataset
from danmatte_workbench.errors import InputError
from danmatte_workbench.quantization import similarity
from danmatte_workbench.quantization.journal import Journal
from danmatte_workbench.quantization.options import QuantizationOptions
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext

ACCURATE_ROUNDS = 20.0  # passes over the frames, because each layer's error is measured separately


@dataclass(frozen=True)
class Quantize(QuantizationOptions, Step):
    """Quantizes weights and activations to 8 bits with NNCF, calibrated on the user's frames.

    With a ``max_drop``, the figures found for each layer are cached, and an interrupted run continues from them.
    """

    kind: ClassVar[str] = "quantize"
    revision: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("openvino", "nncf")

    @property
    def work(self) -> float:
        return 0.8 if self.max_drop else 0.6  # with a max_drop, some layers are reverted to floats

    @property
    def max_frames(self) -> int:
        return self.frames + (self.checked_frames if self.max_drop else 0)

    @property
    def uses_masks(self) -> bool:
        return self.max_drop > 0

    def estimate_s(self, frames: int, source_s: float) -> float:
        rounds = ACCURATE_ROUNDS if self.bias_correction == "accurate" else 1.0
        return 8.0 + 0.8 * rounds * min(frames, self.frames) * source_s

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import preprocessing
        from danmatte_workbench.runtimes import nncf

        model = openvino.read(source)
        shape = model.input(0).get_partial_shape()
        if model.input(0).get_element_type().get_type_name() != "u8":
            raise InputError("quantize: expected a graph that takes uint8 pictures; put preprocess before it")
        is_rgb = preprocessing.read_pixel_format(model) == "RGB" and len(shape) == 4 and shape[3] == 3
        if not is_rgb or shape.is_dynamic:
            raise InputError(
                f"quantize: expected uint8 RGB input (1, H, W, 3), found {shape}; change the input after quantizing"
            )
        size = (shape[1].get_length(), shape[2].get_length())
        frames = context.pictures(self.frames, size)
        if self.max_drop:
            control = AccuracyControl(self, source, context, size)
            count = len(control.similarity.samples)
            model = nncf.quantize_with_control(model, frames, self, judge=control.judge, frames=count)
            words = f", {control.describe()}"
        else:
            model, words = nncf.quantize(model, frames, self), ""
        direct = preprocessing.feed_bytes(model)
        note = f"{self.preset}, {len(frames)} frames{words}{', the first convolution reads bytes' * direct}"
        return openvino.save(model, target), note


class AccuracyControl:
    """The accuracy function for NNCF's accuracy control: figures of compiled graphs on some frames, cached on disk.

    NNCF evaluates hundreds of graphs and stores nothing itself. After a restart it evaluates the same graphs again.
    Therefore each figure is stored under a fingerprint of what the graph computes.
    """

    def __init__(self, step: Quantize, source: Path, context: StepContext, size: tuple[int, int]) -> None:
        from danmatte_workbench.graph import surgery

        samples = list(choose_validation_frames(context.calibration, step.frames, step.checked_frames))
        float_graph = openvino.copy_answers(openvino.compile_file(source, openvino.F32))
        grid = surgery.read_grid(openvino.read(source))
        self.similarity = similarity.make_judge(samples, context.source.framing, size, grid, float_graph)
        key = compute_key([digest(*list_graph_files(source)), step.fields, step.revision], context.calibration)
        self._journal = Journal(find_cache_folder() / "rankings" / f"{key}.jsonl")
        self._limit = step.max_drop
        self._means: list[float] = []

    def judge(self, compiled: Any, numbers: Sequence[int]) -> list[float]:
        """Return the figures, from the journal if it has them. Rounds over all frames are reported on stderr."""
        key = f"{openvino.compute_fingerprint(compiled)} {','.join(map(str, numbers))}"
        figures = self._journal.recall(key, lambda: self.similarity.judge(openvino.copy_answers(compiled), numbers))
        if len(numbers) == len(self.similarity.samples):
            self._means.append(sum(figures) / len(figures))
            if len(self._means) > 1:
                print(f"quantize: {self.describe()}", file=sys.stderr, flush=True)
        return figures

    def describe(self) -> str:
        """Return the result of the last round over all frames, in words."""
        first, *others = self._means
        lost = 100 * (first - others[-1]) if others else 0.0
        truth = "labels" if self.similarity.has_labels else "the float graph's answers"
        back = max(0, len(others) - 1)
        return f"{back} groups of layers back in f32: lost {lost:.2f} of {self._limit:g} points, by {truth}"


def choose_validation_frames(data: Dataset, calibrated: int, checked: int) -> Dataset:
    """Return at most ``checked`` frames to check accuracy on, spread evenly over the kinds.

    Frames that ``pick(calibrated)`` returns are used only if there are too few others.
    """
    known = data.pick(calibrated)
    fresh = [name for name in data.pick(calibrated + checked).names if name not in set(known.names)]
    return data.keep([*fresh, *known.pick(checked - len(fresh)).names])


def compute_key(facts: list[Any], frames: Dataset) -> str:
    """Return the sha256 over everything that the figures depend on: the facts, the frames and their masks."""
    total = hashlib.sha256(json.dumps([*facts, frames.compute_digest()], sort_keys=True, default=list).encode())
    for sample in frames:
        total.update(b"" if sample.truth is None else sample.truth.tobytes())
    return total.hexdigest()
