"""What steps that distil have in common: where their state is kept, and how large their pieces are."""

import hashlib
import json
from pathlib import Path

from danmatte_workbench.artifact import digest, list_graph_files
from danmatte_workbench.steps.base import Step, StepContext

LESSON = 1.5  # inferences of the source that teaching a piece of a frame's size takes
STRIDE = 32  # pieces have sides of a multiple of it and one more


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
