"""The pictures that a student is trained on: random crops of the user's frames, with random changes."""

from dataclasses import dataclass

import cv2
import numpy as np

from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON, Dataset, LabelledFrame

CACHE_BYTES = 2 << 30
NEARER, FARTHER = 1.5, 0.75  # maximum and minimum scale of a crop
LEAN = 0.1  # standard deviation of the logarithm of a crop's aspect ratio
GAIN, TINT, SHIFT = 0.25, 0.04, 20.0  # ranges of brightness factor, of its deviation per colour, and of the offset


@dataclass(frozen=True)
class LabelledView:
    """A picture as a graph takes it, (1, H, W, 3) uint8, and its mask, (H, W) uint8 of 0, 128 = unknown and 255."""

    picture: np.ndarray
    truth: np.ndarray


@dataclass(frozen=True)
class ViewSampler:
    """Random crops of ``frames`` for graphs of input ``size`` (height, width).

    share: the part of a frame's side that a crop shows if it is neither enlarged nor reduced.
    """

    frames: tuple[LabelledFrame, ...]
    size: tuple[int, int]
    share: float

    def __call__(self, rng: np.random.Generator) -> LabelledView:
        """Draw a random crop: its place, size, mirroring and brightness."""
        frame = self.frames[int(rng.integers(len(self.frames)))]
        shown = self.share / float(np.exp(rng.uniform(np.log(FARTHER), np.log(NEARER))))
        slices = []
        shares = (shown, shown * float(np.exp(rng.normal(0, LEAN))))
        for whole, share in zip(frame.pixels.shape[:2], shares, strict=True):
            length = max(1, min(whole, round(whole * share)))
            start = int(rng.integers(whole - length + 1))
            slices.append(slice(start, start + length))
        place = (slices[0], slices[1])
        piece = frame.pixels[place]
        height, width = self.size
        filter_ = cv2.INTER_AREA if piece.shape[0] > height else cv2.INTER_LINEAR
        piece = cv2.resize(piece, (width, height), interpolation=filter_)
        truth = np.full(self.size, IGNORE, np.uint8)  # a frame without a mask is unknown everywhere
        if frame.truth is not None:
            truth = np.asarray(cv2.resize(frame.truth[place], self.size[::-1], interpolation=cv2.INTER_NEAREST))
        if rng.random() < 0.5:
            piece, truth = piece[:, ::-1], truth[:, ::-1]
        if rng.random() < 0.5:
            gain = rng.uniform(1 - GAIN, 1 + GAIN) * (1 + rng.normal(0, TINT, 3))
            piece = np.clip(piece * gain + rng.uniform(-SHIFT, SHIFT), 0, 255).astype(np.uint8)
        return LabelledView(np.ascontiguousarray(piece)[None], np.ascontiguousarray(truth))


def load_frames(dataset: Dataset, limit: int) -> tuple[LabelledFrame, ...]:
    """Load at most ``limit`` of the frames into memory, fewer if they would take more than 2 GiB."""
    frames: list[LabelledFrame] = []
    size_bytes = 0
    for sample in dataset.pick(limit):
        size_bytes += sample.pixels.nbytes
        if frames and size_bytes > CACHE_BYTES:
            break
        frames.append(sample)
    return tuple(frames)


def mix_truth(truth: np.ndarray, belief: np.ndarray, share: float) -> np.ndarray:
    """Return ``belief`` mixed with a ``share`` of the known truth.

    belief: probabilities, (h, w), whose corners are the picture's corners. truth: that of a view; it is averaged over
    the neighbourhood of each place.
    """
    rows, columns = (
        np.linspace(0, whole - 1, places, dtype=np.float32)
        for whole, places in zip(truth.shape, belief.shape, strict=True)
    )
    spread = max(0.3, 0.4 * (truth.shape[0] - 1) / max(1, belief.shape[0] - 1))
    known_at = np.dstack([truth == PERSON, (truth == PERSON) | (truth == BACKGROUND)]).astype(np.float32)
    planes = cv2.GaussianBlur(known_at, (0, 0), spread)
    across, down = np.meshgrid(columns, rows)
    person, known = np.moveaxis(cv2.remap(planes, across, down, cv2.INTER_LINEAR), 2, 0)
    right = person / np.maximum(known, 1e-6)
    weight = share * (known > 0.5)
    return np.asarray((1 - weight) * belief + weight * right, np.float32)
