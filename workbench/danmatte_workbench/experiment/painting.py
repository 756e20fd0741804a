"""Masks of the source and of the winner on the user's own frames, as pictures."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from danmatte_workbench.dataset import Dataset
from danmatte_workbench.metrics.subject import Subject

FRAMES = 8
SIDE = 960  # the longer one of what is written
QUALITY = 85


def choose_frames(data: Dataset, losses: Mapping[str, float]) -> Dataset:
    """A few frames, from the one that lost most to the one that lost least, so that the worst is always seen."""
    ranked = sorted(data.names, key=lambda name: (-losses.get(name, 0.0), name))
    places = np.linspace(0, len(ranked) - 1, min(FRAMES, len(ranked))).round().astype(int)
    return data.keep({ranked[place] for place in places})


def paint(source: Subject, winner: Subject, frames: Dataset, folder: Path) -> list[dict[str, Any]]:
    """Write each frame and its two masks to ``folder``; what was written, with the masks' IoU."""
    folder.mkdir(parents=True, exist_ok=True)
    before = {frame.name: mask for frame, mask in source.predict_masks(frames)}
    return [
        _write_pictures(number, frame.pixels, before[frame.name], mask, folder) | {"frame": frame.name}
        for number, (frame, mask) in enumerate(winner.predict_masks(frames), start=1)
    ]


def _write_pictures(
    number: int, pixels: np.ndarray, before: np.ndarray, after: np.ndarray, folder: Path
) -> dict[str, Any]:
    files = {
        "frame": f"{number:02}-frame.jpg",
        "source": f"{number:02}-source.png",
        "winner": f"{number:02}-winner.png",
    }
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(folder / files["frame"]), small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    for name, mask in (("source", before), ("winner", after)):
        grey = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(folder / files[name]), grey)
    either = int((before | after).sum())
    iou = int((before & after).sum()) / either if either else 1.0
    return {"size": [height, width], "files": files, "iou": iou}
