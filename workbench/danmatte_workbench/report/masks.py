"""The user's frames with the source's masks, the winner's, and where the two differ."""

import base64
import io
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from danmatte_workbench.errors import InputError
from danmatte_workbench.report.records import MaskRecord, RunRecord

FOLDER = "masks"
MAX_PIXELS = 64_000_000
LONG_SIDE = 800  # what a page shows needs no more
DIM = 0.28  # how bright the background stays
LOST, GAINED = (230, 97, 0), (26, 133, 255)  # distinct for every kind of colour vision


@dataclass(frozen=True)
class MaskComparison:
    """A frame's pictures as data URIs, and how much of it only the source or only the winner calls a person.

    label: the frame's own mask; empty where it has none. cost: points of IoU that the winner loses in it, if known.
    """

    name: str
    size: tuple[int, int]
    shown: tuple[int, int]
    frame: str
    source: str
    winner: str
    difference: str
    iou: float
    lost: float
    gained: float
    label: str = ""
    cost: float | None = None


def compare_masks(folder: Path, run: RunRecord) -> tuple[MaskComparison, ...]:
    """All frames of the run, what costs most first, or what agrees least where costs aren't known.

    Raises InputError for a picture that is missing, broken or beyond reason.
    """
    found = (compare_mask(folder / FOLDER, item) for item in run.masks)
    return tuple(sorted(found, key=lambda item: (-math.inf if item.cost is None else -item.cost, item.iou)))


def compare_mask(folder: Path, item: MaskRecord) -> MaskComparison:
    """One frame: the masks are brought to the size at which the page shows the frame."""
    frame = _read_picture(folder / item.files.frame, "RGB")
    scale = LONG_SIDE / max(frame.size)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in frame.size)
        frame = frame.resize((width, height), Image.Resampling.LANCZOS)
    size = frame.size
    source, winner = (_read_mask(folder / name, size) for name in (item.files.source, item.files.winner))
    pixels = np.asarray(frame)
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    dark = np.repeat((grey * DIM)[..., None], 3, axis=2).astype(np.uint8)
    lost, gained = source & ~winner, winner & ~source
    # What both call a person is pale, what only one does is coloured.
    difference = np.where((source & winner)[..., None], dark + np.uint8(110), dark)
    difference[_widen(lost)] = LOST
    difference[_widen(gained)] = GAINED
    either = (source | winner).sum()
    iou = float((source & winner).sum() / either) if either else 1.0
    label = ""
    if item.files.label:
        # People as they are, the background dark, what is ignored between.
        picture = _read_picture(folder / item.files.label, "L").resize(size, Image.Resampling.NEAREST)
        weight = np.asarray(picture, np.float32)[..., None] / 255
        label = _encode(np.asarray(dark + weight * (pixels.astype(np.float32) - dark), np.uint8))
    return MaskComparison(
        name=item.frame,
        size=item.size,
        shown=(size[1], size[0]),
        frame=_encode(pixels),
        source=_encode(np.where(source[..., None], pixels, dark)),
        winner=_encode(np.where(winner[..., None], pixels, dark)),
        difference=_encode(difference),
        iou=iou if item.iou is None else item.iou,
        lost=float(lost.mean()),
        gained=float(gained.mean()),
        label=label,
        cost=item.lost,
    )


def _read_picture(path: Path, mode: str) -> Image.Image:
    """The picture in one of Pillow's modes. Raises InputError where it is missing, broken, too large or no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=("JPEG", "PNG"))
        with opened as picture:
            if picture.width * picture.height > MAX_PIXELS:
                size = f"{picture.width}×{picture.height}"
                raise InputError(f"{path}: expected at most {MAX_PIXELS} pixels, found {size}")
            return picture.convert(mode)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, though run.json names it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: isn't a picture: {error}") from error


def _read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W) booleans, enlarged or reduced to (width, height)."""
    picture = _read_picture(path, "L")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture) >= 128


def _widen(mask: np.ndarray) -> np.ndarray:
    """A pixel more on every side, or thin differences vanish where the page shows the picture smaller."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))) > 0


def _encode(pixels: np.ndarray) -> str:
    """The picture as a data URI, encoded anew so that a page carries pictures and nothing else."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=84, optimize=True, progressive=True, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
