"""Training samples: the counts of crops of pictures, with their similarity to the original as labels.

Samples come in ladders. A ladder is a picture, followed by versions of it with increasing damage of one kind.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from danmatte.contract.cores import count_cores
from danmatte_workbench.dataset import read_rgb
from danmatte_workbench.errors import InputError
from danmatte_workbench.training.quality import architecture
from danmatte_workbench.training.quality.degradation import Picture, degrade
from danmatte_workbench.training.quality.likeness import compute_likeness

SIDE = 192  # pixels of a sample
GROUP = 7  # samples of a ladder
SHARD = 60 * GROUP  # samples in a file
HELD_OUT = "davis_"  # prefix of the names of video frames
WORST_DB, BEST_DB, SAME_DB = 4.0, 30.0, 60.0
_SMALLEST = 0.5  # minimum scale; downscaling removes damage that a picture has already
_ALTERED, _TEXTURED, _DENSE = 0.5, 0.4, 0.35  # shares of the crops
_SMALLEST_DENSE, _LARGEST_DENSE = 0.25, 0.5  # range of scales of dense crops
_CALM = 6.0  # grey levels of deviation; crops with less show nothing
_SEARCHED, _PLACES = 0.4, 6  # share of the crops that are the most detailed of several, and number of those


@dataclass(frozen=True)
class Samples:
    """Counts of pictures, (count, counts) float32, and their similarities to the originals in dB, (count,) float32.

    Every ``GROUP`` consecutive samples are a ladder. The pictures themselves aren't stored.
    """

    counts: npt.NDArray[np.float32]
    decibels: npt.NDArray[np.float32]


def measure(original: Picture, degraded: Picture) -> float:
    """Return multi-scale SSIM in decibels, −10·log10(1 − SSIM), at most SAME_DB, which equal pictures have."""
    return float(-10 * np.log10(max(10 ** (-SAME_DB / 10), 1 - compute_likeness(original, degraded))))


def to_scores(decibels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return scores from 0, at WORST_DB and less, to 100, at BEST_DB and more."""
    return (100 * np.clip((decibels - WORST_DB) / (BEST_DB - WORST_DB), 0, 1)).astype(np.float32)


def list_pictures(people: Path, part: str) -> list[Path]:
    """Return the pictures of a part of the data, ``train`` or ``val``. Raises InputError if there are none.

    Video frames in ``train``, `HELD_OUT`, belong to ``val`` instead, because the network will be used on videos.
    """
    folders = [people / part / "images"] + ([people / "unlabelled/images"] if part == "train" else [])
    found = [path for folder in folders for path in sorted(folder.glob("*.jpg"))]
    if part == "train":
        found = [path for path in found if not path.name.startswith(HELD_OUT)]
    else:
        found += sorted((people / "train/images").glob(f"{HELD_OUT}*.jpg"))
    if not found:
        raise InputError(f"{people}: expected {part}/images/*.jpg, found none")
    return found


def make_samples(pictures: Sequence[Path], count: int, folder: Path, seed: int) -> Samples:
    """Return ``count`` samples and store them in ``folder``; files that it holds already are reused."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = [folder / f"{number:03d}.npz" for number in range(-(-count // SHARD))]

    def make(number: int) -> None:
        if not shards[number].exists():
            made = make_shard(pictures, min(SHARD, count - number * SHARD), np.random.default_rng([seed, number]))
            unfinished = shards[number].with_suffix(".part.npz")
            np.savez(unfinished, counts=made.counts, decibels=made.decibels)
            unfinished.replace(shards[number])

    with ThreadPoolExecutor(count_cores()) as makers:
        list(makers.map(make, range(len(shards))))
    parts = [read_samples(shard) for shard in shards]
    return Samples(np.concatenate([part.counts for part in parts]), np.concatenate([part.decibels for part in parts]))


def read_samples(shard: Path) -> Samples:
    """Return the samples of a file that `make_samples` wrote."""
    with np.load(shard) as stored:
        return Samples(stored["counts"], stored["decibels"])


def make_shard(pictures: Sequence[Path], count: int, rng: np.random.Generator) -> Samples:
    """Return ``count`` samples, rounded up to whole groups, of pictures drawn at random."""
    counts, decibels = [], list[float]()
    for _, original in zip(range(0, count, GROUP), draw_crops(pictures, rng), strict=False):
        ladder = degrade(original, GROUP - 1, rng)
        counts.append(architecture.count(np.stack(ladder)))
        decibels += [measure(original, worse) for worse in ladder]
    return Samples(np.concatenate(counts), np.array(decibels, np.float32))


def draw_crops(pictures: Sequence[Path], rng: np.random.Generator) -> Iterator[Picture]:
    """Yield crops, (SIDE, SIDE, 3) uint8, of randomly downscaled pictures, without end; small pictures are skipped.

    Some consist of four crops of half the side from pictures that are downscaled further, which are as dense as rocks
    and leaves. Many get another contrast, or the fine detail of the previous crop in addition. Thereby the network
    learns damage instead of the few contents of the training pictures.
    """
    before: npt.NDArray[np.float32] | None = None
    whole, quarters = (_cut_crops(pictures, rng, side) for side in (SIDE, SIDE // 2))
    while True:
        crop = next(whole) if rng.random() > _DENSE else _join(*(next(quarters) for _ in range(4)))
        picture = crop.astype(np.float32)
        if rng.random() < _ALTERED:
            picture = 128 + (picture - 128) * float(rng.uniform(0.4, 1.5)) + float(rng.uniform(-30, 30))
        if before is not None and rng.random() < _TEXTURED:
            detail = before - cv2.GaussianBlur(before, (0, 0), float(rng.uniform(1, 4)))
            picture += detail * float(rng.uniform(0.5, 2.5))
        before = crop.astype(np.float32)
        yield np.clip(picture, 0, 255).astype(np.uint8)


def _cut_crops(pictures: Sequence[Path], rng: np.random.Generator, side: int) -> Iterator[Picture]:
    smallest, largest = (_SMALLEST, 1.0) if side == SIDE else (_SMALLEST_DENSE, _LARGEST_DENSE)
    while True:
        picture = read_rgb(pictures[int(rng.integers(len(pictures)))])
        scale = max(float(rng.uniform(smallest, largest)), (side + 1) / min(picture.shape[:2]))
        if scale > 1:
            continue
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
        for _ in range(2):
            places = [_cut(picture, rng, side) for _ in range(_PLACES if rng.random() < _SEARCHED else 1)]
            crop = max(places, key=_measure_detail) if len(places) > 1 else places[0]
            if crop.std() > _CALM:
                yield crop


def _cut(picture: Picture, rng: np.random.Generator, side: int) -> Picture:
    top, left = (int(rng.integers(0, length - side + 1)) for length in picture.shape[:2])
    return np.ascontiguousarray(picture[top : top + side, left : left + side])


def _measure_detail(crop: Picture) -> float:
    """Return the median difference of neighbours, which is high if there is detail everywhere, not only at edges."""
    return float(np.median(cv2.absdiff(crop[1:, 1:, 1], crop[:-1, :-1, 1])))


def _join(one: Picture, two: Picture, three: Picture, four: Picture) -> Picture:
    return np.asarray(np.vstack([np.hstack([one, two]), np.hstack([three, four])]), np.uint8)
