"""The user's frames with the source's masks, the winner's, and where the two differ."""

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from danmatte_workbench.errors import InputError
from danmatte_workbench.report.run import MaskSet, Run

FOLDER = "masks"
MOST_PIXELS = 64_000_000
LONG_SIDE = 800  # what a page shows needs no more
DIM = 0.28  # how bright the background stays
LOST, GAINED = (230, 97, 0), (26, 133, 255)  # told apart by every kind of colour vision


@dataclass(frozen=True)
class Comparison:
    """A frame's pictures as data URIs, and how much of it only the source or only the winner calls a person."""

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


def comparisons(folder: Path, run: Run) -> tuple[Comparison, ...]:
    """All frames of the run. Raises InputError for a picture that is missing, broken or beyond reason."""
    return tuple(_compare(folder / FOLDER, item) for item in run.masks)


def _compare(folder: Path, item: MaskSet) -> Comparison:
    frame = _shrunk(_open(folder / item.files.frame).convert("RGB"))
    size = frame.size
    source, winner = (_mask(folder / name, size) for name in (item.files.source, item.files.winner))
    pixels = np.asarray(frame)
    lost, gained = source & ~winner, winner & ~source
    either = (source | winner).sum()
    iou = float((source & winner).sum() / either) if either else 1.0
    return Comparison(
        name=item.frame,
        size=item.size,
        shown=(size[1], size[0]),
        frame=_uri(pixels),
        source=_uri(_cut_out(pixels, source)),
        winner=_uri(_cut_out(pixels, winner)),
        difference=_uri(_difference(pixels, source & winner, lost, gained)),
        iou=iou if item.iou is None else item.iou,
        lost=float(lost.mean()),
        gained=float(gained.mean()),
    )


def _open(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(path, formats=("JPEG", "PNG"))
        if picture.width * picture.height > MOST_PIXELS:
            raise InputError(f"{path}: expected at most {MOST_PIXELS} pixels, found {picture.width}×{picture.height}")
        picture.load()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file, though run.json names it") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: isn't a picture: {error}") from error
    return picture


def _shrunk(picture: Image.Image) -> Image.Image:
    scale = LONG_SIDE / max(picture.size)
    if scale >= 1:
        return picture
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)


def _mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W) booleans, enlarged or reduced to (width, height)."""
    picture = _open(path).convert("L")
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(picture) >= 128


def _cut_out(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The person as it is, all else grey and dark."""
    return np.where(mask[..., None], pixels, _dim(pixels))


def _dim(pixels: np.ndarray) -> np.ndarray:
    grey = pixels @ np.array([0.299, 0.587, 0.114])
    return np.repeat((grey * DIM)[..., None], 3, axis=2).astype(np.uint8)


def _difference(pixels: np.ndarray, both: np.ndarray, lost: np.ndarray, gained: np.ndarray) -> np.ndarray:
    """What only one of the two calls a person, coloured; what both do is pale."""
    grey = _dim(pixels)
    shown = np.where(both[..., None], grey + np.uint8(110), grey)
    shown[_widened(lost)] = LOST
    shown[_widened(gained)] = GAINED
    return shown


def _widened(mask: np.ndarray) -> np.ndarray:
    """A pixel more on every side, or thin differences vanish where the page shows the picture smaller."""
    return np.asarray(Image.fromarray(mask.astype(np.uint8)).filter(ImageFilter.MaxFilter(3))) > 0


def _uri(pixels: np.ndarray) -> str:
    """The picture written anew, so that a page carries pictures and nothing else."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=84, optimize=True, progressive=True, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"
