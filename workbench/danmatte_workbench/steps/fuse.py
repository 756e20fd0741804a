"""Dense convolutions in place of the first blocks."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext
from danmatte_workbench.steps.teaching import estimate_teaching_s, find_checkpoint, scale_pieces


@dataclass(frozen=True)
class Fuse(Step):
    """Replaces the first blocks by dense convolutions of few channels, trained on the outputs of these blocks.

    stem: channels of each strided convolution at the start of the graph.
    blocks: channels of each block after them; its depthwise convolution becomes a dense one.
    lessons: training steps of ``batch`` crops, each with a ``share`` of the frame's side, at a learning rate of
        ``rate``.
    frames: the maximum number of frames to train on.

    The output of each new block is trained to equal that of the block that it replaces.
    """

    stem: tuple[int, ...] = (16, 64)
    blocks: tuple[int, ...] = (48, 64)
    lessons: int = 5000
    batch: int = 8
    rate: float = 0.5
    share: float = 0.5
    frames: int = 1000
    seed: int = 1

    kind: ClassVar[str] = "fuse"
    libraries: ClassVar[tuple[str, ...]] = ("openvino", "tensorflow-cpu")

    def __post_init__(self) -> None:
        for name in ("stem", "blocks"):
            values = getattr(self, name)
            if not isinstance(values, tuple) or any(type(value) is not int or value < 1 for value in values):
                raise InputError(f"fuse: {name}: expected whole numbers of channels, found {values!r}")
        if not self.stem:
            raise InputError("fuse: stem: expected the channels of at least one convolution, found none")
        for name in ("lessons", "batch", "frames"):
            if type(value := getattr(self, name)) is not int or value < 1:
                raise InputError(f"fuse: {name}: expected a whole number of at least 1, found {value!r}")
        for name in ("rate", "share"):
            if not 0 < (value := getattr(self, name)) <= 1:
                raise InputError(f"fuse: {name}: expected a number above 0 and up to 1, found {value!r}")

    def estimate_s(self, frames: int, source_s: float) -> float:
        return estimate_teaching_s(self, frames, source_s)

    def apply(self, source: Path, target: Path, context: StepContext) -> tuple[Artifact, str]:
        from danmatte_workbench.distillation import student
        from danmatte_workbench.distillation.teaching import Distillation, teach
        from danmatte_workbench.distillation.views import ViewSampler, load_frames
        from danmatte_workbench.graph import fusing, reshaping

        model = openvino.read(source)
        teacher = model.clone()
        pairs = fusing.fuse(model, self.stem, self.blocks, self.seed)
        smaller = fusing.extract_nodes(model.clone(), [pair.student for pair in pairs])
        whole = fusing.extract_nodes(teacher, [pair.teacher for pair in pairs])
        size = scale_pieces(reshaping.read_input_size(model), self.share)
        for graph in (smaller, whole):
            reshaping.reshape(graph, size)
        frames = load_frames(context.calibration, self.frames)
        options = Distillation(self.lessons, self.batch, self.rate, 1.0, 0.0, 0.0, self.seed, answering=False)
        sampler = ViewSampler(frames, size, self.share)
        weights, note = teach(smaller, whole, sampler, options, find_checkpoint(self, source, context), pairs)
        student.write_weights(model, weights)
        return openvino.save(model, target), f"{len(pairs)} blocks of dense convolutions, {note}"
