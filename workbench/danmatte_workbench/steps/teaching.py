"""What steps that learn from the source have in common: the teacher, the pieces, the state, and the time they take."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from danmatte_workbench.artifact import digest, list_graph_files
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext, make_step

LESSON = 1.5  # inferences of the source that teaching a piece of a frame's size takes
STRIDE = 32  # pieces have sides of a multiple of it and one more


def build_teacher(context: StepContext) -> Any:
    """The source itself, as far as the person's probability at its logits, for uint8 pictures of its own size.

    It is an OpenVINO graph; steps import no library to say so.
    """
    path = context.source.path
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        for kind in ("cut", "head", "preprocess"):
            step = make_step(kind, {}, context.source)
            path = step.apply(path, Path(folder) / f"{kind}.xml", context)[0].path
        return openvino.read(path).clone()


def estimate_teaching_s(step: Step, frames: int, source_s: float) -> float:
    """Seconds that the lessons of a step should take, as `Step.estimate_s` has them."""
    fields = step.fields
    pieces = fields["lessons"] * fields["batch"] * fields["share"] ** 2
    return float(30.0 + (min(frames, step.most_frames) + LESSON * pieces) * source_s)


def find_checkpoint(step: Step, source: Path, context: StepContext) -> Path | None:
    """Where the state of the step's training is kept: under all that it depends on. None where nothing is kept."""
    if context.unfinished is None:
        return None
    fields = json.dumps([step.kind, step.revision, step.fields], sort_keys=True)
    frames = context.calibration.pick(step.fields["frames"]).compute_digest(masks=step.looks_at_masks)
    facts = [digest(*list_graph_files(source)), context.source.digest, frames, fields]
    return context.unfinished / f"{hashlib.sha256(' '.join(facts).encode()).hexdigest()}.npz"


def scale_pieces(size: tuple[int, int], share: float) -> tuple[int, int]:
    """A ``share`` of the height and width, such that strides divide it evenly."""
    height, width = (max(1, round((side - 1) * share / STRIDE)) * STRIDE + 1 for side in size)
    return height, width
