"""Pictures of the source's and the winner's masks on the user's own frames."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from danmatte_workbench.dataset import Dataset, LabelledFrame
from danmatte_workbench.errors import MachineError
from danmatte_workbench.metrics.subject import Subject

FRAMES = 9
DEAREST = 7  # of these frames are the ones with the largest losses
SIDE = 960  # maximum side of a written picture
QUALITY = 85


def choose_frames(data: Dataset, losses: Mapping[str, float]) -> Dataset:
    """Return the frames with the largest losses, and a few others down to the smallest loss.

    A large loss is often caused by a wrong label: a mask that is shifted by a pixel, or a person that isn't labelled.
    """
    ranked = sorted(data.names, key=lambda name: (-losses.get(name, 0.0), name))
    places = np.linspace(DEAREST, len(ranked) - 1, FRAMES - DEAREST).round().astype(int)
    return data.keep({*ranked[:DEAREST], *(ranked[place] for place in places if place < len(ranked))})


def paint(
    source: Subject, winner: Subject, frames: Dataset, folder: Path, losses: Mapping[str, float]
) -> list[dict[str, Any]]:
    """Write each frame, its two masks, and its label if it has one, to ``folder``.

    Returns a row for each frame: file names, the masks' IoU, and the points of IoU that the winner loses in it. Raises
    MachineError if a file can't be written.
    """
    before = {frame.name: mask for frame, mask in source.predict_masks(frames)}
    return [
        _write_pictures(number, frame, before[frame.name], mask, folder)
        | {"frame": frame.name, "lost": 100 * losses[frame.name] if frame.name in losses else None}
        for number, (frame, mask) in enumerate(winner.predict_masks(frames), start=1)
    ]


def _write_pictures(
    number: int, frame: LabelledFrame, before: np.ndarray, after: np.ndarray, folder: Path
) -> dict[str, Any]:
    pixels = frame.pixels
    files = {
        "frame": f"{number:02}-frame.jpg",
        "source": f"{number:02}-source.png",
        "winner": f"{number:02}-winner.png",
    }
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    _write_picture(folder / files["frame"], small[..., ::-1])
    for name, mask in (("source", before), ("winner", after)):
        grey = cv2.resize(mask.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_AREA)
        _write_picture(folder / files[name], grey)
    if frame.truth is not None:
        files["label"] = f"{number:02}-label.png"
        nearest = cv2.resize(frame.truth, (width, height), interpolation=cv2.INTER_NEAREST)
        _write_picture(folder / files["label"], nearest)
    either = int((before | after).sum())
    iou = int((before & after).sum()) / either if either else 1.0
    return {"size": [height, width], "files": files, "iou": iou}


def _write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write a picture in the format of its suffix. Doesn't use `cv2.imwrite`, which raises no error on a full disk."""
    # PNG has no such setting, and OpenCV would print a warning.
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY] if path.suffix == ".jpg" else []
    _, encoded = cv2.imencode(path.suffix, pixels, settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded.tobytes())
    except OSError as error:
        raise MachineError(f"{path}: can't be written ({error.strerror})") from error
