"""Pruning: removing channels while keeping the masks."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact, digest, list_graph_files
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext


@dataclass(frozen=True)
class Prune(Step):
    """Removes channels that take ``share`` of the milliseconds, and refits the rest on at most ``frames`` frames.

    stages: the number of rounds; each chooses channels in the graph that the previous one left.
    tried: the number of channel groups, those that save most time, whose loss is measured instead of estimated. This
        takes up to a minute each.

    Milliseconds are measured for the convolutions in 8 bits on this machine, so the choice depends on it a little.
    """

    share: float
    stages: int = 1
    tried: int = 0
    frames: int = 96

    kind: ClassVar[str] = "prune"
    revision: ClassVar[int] = 2
    libraries: ClassVar[tuple[str, ...]] = ("openvino", "nncf")

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise InputError(f"prune: share: expected a number between 0 and 1, found {self.share!r}")
        for name in ("stages", "frames"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise InputError(f"prune: {name}: expected a whole number of at least 1, found {value!r}")
        if type(self.tried) is not int or self.tried < 0:
            raise InputError(f"prune: tried: expected a whole number of at least 0, found {self.tried!r}")

    @property
    def work(self) -> float:
        return 1 - self.share

    def estimate_s(self, frames: int, source_s: float) -> float:
        # Every layer is fitted on all frames, using the outputs of fitted layers before it; each trial repeats this.
        return 20.0 + (6.0 * self.stages + 2.5 * self.tried) * min(frames, self.frames) * source_s

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.graph import reshaping
        from danmatte_workbench.pruning import layer_timings, pruning

        model = openvino.read(source)
        pictures = context.pictures(self.frames, reshaping.read_input_size(model))
        milliseconds = layer_timings.load_or_time(
            model, pictures, digest(*list_graph_files(source)), context.unfinished
        )
        pruned = pruning.prune(model, pictures, self.share, milliseconds, stages=self.stages, tried=self.tried)
        return openvino.save(model, target), f"{pruned}, on {len(pictures)} frames"
