"""Pictures of frames with the source's masks, the winner's masks, and their differences."""

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
LONG_SIDE = 800  # maximum side of a picture on the page
DIM = 0.28  # brightness factor of the background
LOST, GAINED = (230, 97, 0), (26, 133, 255)  # distinguishable with colour blindness


@dataclass(frozen=True)
class MaskComparison:
    """A frame's pictures as data URIs, with figures.

    size: (height, width) of the frame. shown: (height, width) of its pictures. lost, gained: share of pixels that are a
    person only in the source's mask, and only in the winner's. label: picture of the frame's true mask; empty if it has
    none. cost: points of IoU that the winner loses in it, if known.
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
    """Return all frames of the run, sorted by descending cost, then by ascending IoU.

    Raises InputError for a picture that is missing, broken or too large.
    """
    found = (compare_mask(folder / FOLDER, item) for item in run.masks)
    return tuple(sorted(found, key=lambda item: (-math.inf if item.cost is None else -item.cost, item.iou)))


def compare_mask(folder: Path, item: MaskRecord) -> MaskComparison:
    """Return the comparison of one frame; masks are resized to the size at which the page shows it."""
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
    # Pixels that are a person in both masks are pale; those in one only are coloured.
    difference = np.where((source & winner)[..., None], dark + np.uint8(110), dark)
    difference[_widen(lost)] = LOST
    difference[_widen(gained)] = GAINED
    either = (source | winner).sum()
    iou = float((source & winner).sum() / either) if either else 1.0
    label = ""
    if item.files.label:
        # People have full brightness, the background is dark, and ignored pixels are between.
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
    """Read a picture in one of Pillow's modes. Raises InputError if it is missing, broken or too large."""
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
    """Read a mask as (H, W) booleans, resized to (width, height)."""
    picture = _read_picture(path, "L")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture) >= 128


def _widen(mask: np.ndarray) -> np.ndarray:
    """Dilate the mask by one pixel; otherwise thin differences vanish when the page scales the picture down."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))) > 0


def _encode(pixels: np.ndarray) -> str:
    """Return the picture as a data URI. Re-encoding removes everything but pixels from untrusted files."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=84, optimize=True, progressive=True, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
