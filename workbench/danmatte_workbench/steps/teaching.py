"""Shared code of the steps that train on the source's outputs: teacher, crops, checkpoint and time estimate."""

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

from danmatte_workbench.artifact import digest, list_graph_files
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.steps.base import Step, StepContext, make_step

LESSON = 1.5  # time of training on a crop as large as a frame, in inferences of the source
STRIDE = 32  # the sides of crops are a multiple of it plus one


def build_teacher(context: StepContext) -> Any:
    """Return the source as an OpenVINO graph with uint8 input of its own size.

    Its output is the person's probability at the logits' resolution. The return type is Any because steps don't import
    OpenVINO.
    """
    path = context.source.path
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        for kind in ("cut", "head", "preprocess"):
            step = make_step(kind, {}, context.source)
            path = step.apply(path, Path(folder) / f"{kind}.xml", context)[0].path
        return openvino.read(path).clone()


def estimate_teaching_s(step: Step, frames: int, source_s: float) -> float:
    """Return an estimate of a step's training time in seconds, as `Step.estimate_s` does."""
    fields = step.fields
    pieces = fields["lessons"] * fields["batch"] * fields["share"] ** 2
    return float(30.0 + (min(frames, step.max_frames) + LESSON * pieces) * source_s)


def find_checkpoint(step: Step, source: Path, context: StepContext) -> Path | None:
    """Return the path of the step's training state, which is named by everything that it depends on.

    Returns None if nothing is to be stored.
    """
    if context.unfinished is None:
        return None
    fields = json.dumps([step.kind, step.revision, step.fields], sort_keys=True)
    frames = context.calibration.pick(step.fields["frames"]).compute_digest(masks=step.uses_masks)
    facts = [digest(*list_graph_files(source)), context.source.digest, frames, fields]
    return context.unfinished / f"{hashlib.sha256(' '.join(facts).encode()).hexdigest()}.npz"


def scale_pieces(size: tuple[int, int], share: float) -> tuple[int, int]:
    """Return the size of crops: a ``share`` of height and width, rounded so that strides divide it evenly."""
    height, width = (max(1, round((side - 1) * share / STRIDE)) * STRIDE + 1 for side in size)
    return height, width
