"""Part `cpus` of `scripts/bench workbench`: a version's masks under each instruction set and without 8-bit kernels."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from danmatte_workbench import hardware
from danmatte_workbench.budget import IOU_DROP
from danmatte_workbench.dataset import BACKGROUND, PERSON, Dataset, load
from danmatte_workbench.metrics import MeanIoU, Score, score_mask
from danmatte_workbench.metrics.agreement import measure_iou_drop
from danmatte_workbench.metrics.subject import Subject
from danmatte_workbench.processes.child import run_isolated
from danmatte_workbench.runtimes import isa_levels
from danmatte_workbench.runtimes.core import open_core
from danmatte_workbench.runtimes.devices import to_properties

ANSWER_S = 1800.0
CHECKED, ATTEMPTS, ALIKE = 16, 3, 0.5
NO_8_BITS = {"LP_TRANSFORMS_MODE": "NO"}  # makes the CPU plugin compute the graph's 8-bit operations in floats
Masks = list[tuple[str, np.ndarray]]


def measure_cpus(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Compare the version at ``folder``, under each instruction set that this CPU supports, with the graph in floats.

    Return 100 · (1 − IoU) between the two masks and, if there are labels, the points of IoU lost against them.
    """
    subject, data, host = Subject.from_published(folder), load(options.data), hardware.describe_host()
    if options.frames:
        data = data.pick(options.frames)
    exact = predict_in_floats(subject, data)
    levels: list[dict[str, Any]] = []
    for level in (*isa_levels.list_older(), ""):
        masks = predict(subject, data, level, {})
        apart = measure_iou_drop(score_against(exact, exact), score_against(exact, masks), "masks_apart", host)
        found = {"level": level or isa_levels.find_highest(), "emulated": bool(level), "masks_apart": apart.numbers}
        if data.labelled:
            own, mine = score(data, exact), score(data, masks)
            found |= {
                "mean_iou": MeanIoU().measure(mine, host).numbers,
                IOU_DROP: measure_iou_drop(own, mine, IOU_DROP, host).numbers,
            }
        levels.append(found)
        print(f"  {subject.name} at {found['level']}: masks differ by {apart}; {found.get(IOU_DROP, 'no labels')}")
    return {"version": subject.name, "data": options.data.name, "frames": len(data), "levels": levels}


def predict_in_floats(subject: Subject, data: Dataset) -> Masks:
    """Return the graph's masks without 8-bit kernels.

    Sometimes a process with this setting computes the same mask for all pictures. Masks that differ too much from those
    with 8-bit kernels are therefore computed again. Raises SystemExit if every attempt fails.
    """
    own = predict(subject, data.pick(CHECKED), "", {})
    for _ in range(ATTEMPTS):
        exact = predict(subject, data, "", NO_8_BITS)
        masks = dict(exact)
        pairs = [(mask, masks[name]) for name, mask in own]
        both, either = (sum(int(join(a, b).sum()) for a, b in pairs) for join in (np.logical_and, np.logical_or))
        if both > ALIKE * either:
            return exact
    raise SystemExit(f"{subject.name}: without 8-bit kernels its masks differ too much from those with them")


def predict(subject: Subject, data: Dataset, level: str, properties: dict[str, str]) -> Masks:
    """Return the subject's masks, computed in a separate process that uses no newer instruction set than ``level``."""
    environment = {isa_levels.SWITCH: level} if level else {}
    found: Masks = run_isolated(predict_here, subject, data, properties, timeout_s=ANSWER_S, environment=environment)
    return found


def predict_here(subject: Subject, data: Dataset, properties: dict[str, str]) -> Masks:
    """Return the masks of all frames at the frames' sizes; runs in the child process."""
    configured = {**to_properties(subject.configuration), **properties}
    compiled = open_core().compile_model(str(subject.path), subject.configuration.device, configured)
    request = compiled.create_infer_request()
    masks = []
    for frame in data:
        size = frame.pixels.shape[:2]
        values = request.infer({0: subject.framing.fit_exactly(frame.pixels)})[0]
        masks.append((frame.name, subject.compute_mask(values, size, size)))
    return masks


def score(data: Dataset, masks: Masks) -> list[Score]:
    """Return the scores against the labels."""
    return [
        score_mask(name, mask, frame.truth)
        for frame, (name, mask) in zip(data, masks, strict=True)
        if frame.truth is not None
    ]


def score_against(truth: Masks, masks: Masks) -> list[Score]:
    """Return the scores against other masks."""
    pairs = zip(truth, masks, strict=True)
    return [
        score_mask(name, mask, np.where(right, PERSON, BACKGROUND).astype(np.uint8))
        for (name, right), (_, mask) in pairs
    ]
