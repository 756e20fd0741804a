"""Flicker and accuracy of masks on clips with true masks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from danmatte.contract.framing import Framing, resize
from danmatte.engine import Served
from danmatte.frame import Frame, Size
from danmatte.tracks.refinement import RefinedRegion, Refiner
from danmatte.video.stabiliser import Stabiliser, StabiliserOptions
from images import read_image

MASK = Size(180, 320)
FRAME_MS = 42
COVERED = 0.005  # share of the background that is masked at the threshold for recall
LEAST_GAP = 12  # pixels
Bits = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Clip:
    """Consecutive frames with true masks, in a folder with `images` and `masks` (255 person, 128 unknown)."""

    home: Path

    @cached_property
    def frames(self) -> list[np.ndarray]:
        """Return the frames, RGB, at their original size."""
        return [read_image(path) for path in sorted((self.home / "images").iterdir())]

    @cached_property
    def truths(self) -> list[tuple[Bits, Bits]]:
        """Return for each frame where the person is and where that is known, at the masks' size."""
        pictures = [read_image(path, cv2.IMREAD_GRAYSCALE) for path in sorted((self.home / "masks").iterdir())]
        return [(_share(np.equal(each, 255)) >= 0.5, _share((each > 0) & (each < 255)) == 0) for each in pictures]

    @cached_property
    def greys(self) -> list[np.ndarray]:
        """Return the frames' brightness at the masks' size."""
        whole = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames)
        return [cv2.resize(grey, MASK[::-1], interpolation=cv2.INTER_AREA) for grey in whole]

    @cached_property
    def flows(self) -> list[np.ndarray]:
        """Return the optical flow from each frame but the first to the previous one, finer than the stabiliser's."""
        optics = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
        fine = (2 * MASK.width, 2 * MASK.height)
        whole = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames)
        greys = [cv2.resize(grey, fine, interpolation=cv2.INTER_AREA) for grey in whole]
        pairs = zip(greys[1:], greys[:-1], strict=True)
        flows = (optics.calc(here, before, None) for here, before in pairs)  # type: ignore[call-overload]
        return [cv2.resize(flow, MASK[::-1]) / 2 for flow in flows]

    @cached_property
    def flows_ahead(self) -> list[np.ndarray]:
        """Return the optical flow from each frame but the last to the next one."""
        optics = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
        pairs = zip(self.greys[:-1], self.greys[1:], strict=True)
        return [optics.calc(here, after, None) for here, after in pairs]  # type: ignore[call-overload]


def _share(bits: Bits) -> np.ndarray:
    return cv2.resize(bits.astype(np.float32), MASK[::-1], interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Predictions:
    """Predictions for every frame of a clip, at the masks' size.

    plain: probabilities of one pass; refined: those with a second pass; pictures: the network's input pictures.
    """

    plain: list[np.ndarray]
    refined: list[np.ndarray]
    pictures: list[np.ndarray]


def predict(clip: Clip, served: Served) -> Predictions:
    """Return the network's predictions for the clip's frames."""
    manifest, size = served.manifest, Size(*clip.frames[0].shape[:2])
    refiner, found = Refiner(manifest, size, MASK), Predictions([], [], [])
    framing = Framing.of(manifest)
    for frame in clip.frames:
        picture = framing.fit(Frame(frame, size))
        values = served.engine.infer(picture)[0]
        sized = framing.compute_mask(values, manifest.regions.grid, MASK, size)
        finer = sized.copy()
        if region := refiner.choose_region(values):
            nearer = refiner.cut_out(resize(frame, refiner.detail_size), region)
            refiner.merge(finer, RefinedRegion(served.engine.infer(nearer)[0], region))
        found.plain.append(sized)
        found.refined.append(finer)
        found.pictures.append(framing.extract(picture, size, MASK))
    return found


def stabilise(
    clip: Clip, values: Sequence[np.ndarray], pictures: Sequence[np.ndarray], options: StabiliserOptions
) -> list[np.ndarray]:
    """Return the probabilities after the stabiliser."""
    stabiliser = Stabiliser(options)
    steady = []
    for at, (grey, each, picture) in enumerate(zip(clip.greys, values, pictures, strict=True)):
        steady += stabiliser.step(grey, each, at * FRAME_MS, colours=picture)
    return [item.alpha for item in (*steady, *stabiliser.finish())]


def score(clip: Clip, alphas: Sequence[np.ndarray]) -> dict[str, float]:
    """Return the figures of masks, which are cut at one half. Areas are relative to the person's mean area.

    `iou`: mean intersection over union.
    `error_change`: mean area in which the wrong pixels of a frame and of the previous one differ, at the same place of
    the screen. A constant, invisible error at a moving person counts twice in every frame.
    `flicker`: mean area in which the mask differs from the previous one and the truth doesn't, after both were moved
    along the optical flow. A mask with a constant error has none.
    `iou_change`: mean absolute difference of intersection over union between neighbouring frames.
    `recall`: share of people's pixels that is masked at the threshold that masks 0.5 % of the background.
    `gaps`: number of parts of people, of at least 12 pixels, that the masks of the previous and of the next frame,
    moved along the optical flow, contain and the frame's mask doesn't. `holes`: area of people in holes of the mask.
    """
    masks = [alpha >= 0.5 for alpha in alphas]
    people = [truth for truth, _ in clip.truths]
    known = [where for _, where in clip.truths]
    area = np.mean([truth.sum() for truth in people])
    wrong = [(mask != truth) & where for mask, (truth, where) in zip(masks, clip.truths, strict=True)]
    frames = range(1, len(masks))
    changed = [(_carry_along(masks, at, clip) & ~_carry_along(people, at, clip) & known[at]).sum() for at in frames]
    unions = zip(masks, people, known, strict=True)
    ious = [(m & t & k).sum() / max(1, ((m | t) & k).sum()) for m, t, k in unions]
    return {
        "iou": float(np.mean(ious)),
        "flicker": float(np.mean(changed) / area),
        "error_change": float(np.mean([(wrong[at] ^ wrong[at - 1]).sum() for at in frames]) / area),
        "iou_change": float(np.mean(np.abs(np.diff(ious)))),
        "recall": _find_recall(clip, alphas),
        "gaps": _count_gaps(clip, masks),
        "holes": float(
            np.mean([_measure_holes(mask, *truth) for mask, truth in zip(masks, clip.truths, strict=True)]) / area
        ),
    }


def _find_recall(clip: Clip, alphas: Sequence[np.ndarray]) -> float:
    outside = np.concatenate([alpha[~truth & known] for alpha, (truth, known) in zip(alphas, clip.truths, strict=True)])
    inside = np.concatenate([alpha[truth & known] for alpha, (truth, known) in zip(alphas, clip.truths, strict=True)])
    return float((inside > np.quantile(outside, 1 - COVERED)).mean())


def _count_gaps(clip: Clip, masks: Sequence[Bits]) -> float:
    count = 0
    for at in range(1, len(masks) - 1):
        truth, known = clip.truths[at]
        around = _carry(masks[at - 1], clip.flows[at - 1]) & _carry(masks[at + 1], clip.flows_ahead[at])
        missing = (around & ~masks[at] & truth & known).astype(np.uint8)
        areas = cv2.connectedComponentsWithStats(missing, connectivity=4)[2][1:, cv2.CC_STAT_AREA]
        count += int((areas >= LEAST_GAP).sum())
    return float(count)


def _measure_holes(mask: Bits, truth: Bits, known: Bits) -> int:
    """Return the number of people's pixels in holes: unmasked areas that aren't connected with the border."""
    outside = np.pad(1 - mask.astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    is_hole = (labels != labels[0, 0])[1:-1, 1:-1] & ~mask
    return int((is_hole & truth & known).sum())


def _carry_along(masks: Sequence[Bits], at: int, clip: Clip) -> Bits:
    """Return where a mask differs from the previous one, which is first moved along the optical flow."""
    return np.asarray(masks[at] ^ _carry(masks[at - 1], clip.flows[at - 1]))


def _carry(mask: Bits, flow: np.ndarray) -> Bits:
    """Return a mask moved along an optical flow."""
    rows, columns = np.indices(MASK, np.float32)
    places = np.dstack([columns, rows]) + flow
    carried = cv2.remap(mask.astype(np.float32), places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(carried >= 0.5)


def compare(clip: Clip, served: Served) -> dict[str, dict[str, float]]:
    """Return the figures frame by frame, live and offline; `…_lower` is the relative decrease of a figure."""
    found, predictions = {}, predict(clip, served)
    found["frame by frame"] = score(clip, predictions.plain)
    ahead = StabiliserOptions().ahead
    ways = (
        ("live", predictions.plain, 0),
        ("offline", predictions.plain, ahead),
        ("offline, closer", predictions.refined, ahead),
    )
    for name, values, frames in ways:
        found[name] = score(clip, stabilise(clip, values, predictions.pictures, StabiliserOptions(ahead=frames)))
        for what in ("flicker", "error_change", "iou_change"):
            found[name][f"{what}_lower"] = 1 - found[name][what] / found["frame by frame"][what]
    return found
