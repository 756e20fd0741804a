"""How much masks flicker, and how right they are, on clips with true masks."""

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
COVERED = 0.005  # share of the background at which masks are compared by their recall
LEAST_GAP = 12  # pixels
Bits = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Clip:
    """Consecutive frames with their true masks, in a folder with `images` and `masks` (255 person, 128 unknown)."""

    home: Path

    @cached_property
    def frames(self) -> list[np.ndarray]:
        """RGB, as they are."""
        return [read_image(path) for path in sorted((self.home / "images").iterdir())]

    @cached_property
    def truths(self) -> list[tuple[Bits, Bits]]:
        """At the masks' size: where the person is, and where it is known."""
        pictures = [read_image(path, cv2.IMREAD_GRAYSCALE) for path in sorted((self.home / "masks").iterdir())]
        return [(_share(np.equal(each, 255)) >= 0.5, _share((each > 0) & (each < 255)) == 0) for each in pictures]

    @cached_property
    def greys(self) -> list[np.ndarray]:
        """Brightness at the masks' size."""
        whole = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames)
        return [cv2.resize(grey, MASK[::-1], interpolation=cv2.INTER_AREA) for grey in whole]

    @cached_property
    def flows(self) -> list[np.ndarray]:
        """From each frame but the first to the one before, by a finer method than the stabiliser's own."""
        optics = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
        fine = (2 * MASK.width, 2 * MASK.height)
        whole = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in self.frames)
        greys = [cv2.resize(grey, fine, interpolation=cv2.INTER_AREA) for grey in whole]
        pairs = zip(greys[1:], greys[:-1], strict=True)
        flows = (optics.calc(here, before, None) for here, before in pairs)  # type: ignore[call-overload]
        return [cv2.resize(flow, MASK[::-1]) / 2 for flow in flows]

    @cached_property
    def flows_ahead(self) -> list[np.ndarray]:
        """The same from each frame but the last to the one after."""
        optics = cv2.DISOpticalFlow.create(cv2.DISOpticalFlow_PRESET_MEDIUM)
        pairs = zip(self.greys[:-1], self.greys[1:], strict=True)
        return [optics.calc(here, after, None) for here, after in pairs]  # type: ignore[call-overload]


def _share(bits: Bits) -> np.ndarray:
    return cv2.resize(bits.astype(np.float32), MASK[::-1], interpolation=cv2.INTER_AREA)


@dataclass(frozen=True)
class Looks:
    """At every frame of a clip, at the masks' size: probabilities by one look, by two, and what the network saw."""

    once: list[np.ndarray]
    twice: list[np.ndarray]
    pictures: list[np.ndarray]


def looked(clip: Clip, served: Served) -> Looks:
    """The network's answers to the clip's frames, one after another."""
    manifest, size = served.manifest, Size(*clip.frames[0].shape[:2])
    refiner, found = Refiner(manifest, size, MASK), Looks([], [], [])
    framing = Framing.of(manifest)
    for frame in clip.frames:
        picture = framing.fit(Frame(frame, size))
        values = served.engine.infer(picture)[0]
        sized = framing.compute_mask(values, manifest.regions.grid, MASK, size)
        finer = sized.copy()
        if region := refiner.choose_region(values):
            nearer = refiner.cut_out(resize(frame, refiner.detail_size), region)
            refiner.merge(finer, RefinedRegion(served.engine.infer(nearer)[0], region))
        found.once.append(sized)
        found.twice.append(finer)
        found.pictures.append(framing.extract(picture, size, MASK))
    return found


def stabilised(
    clip: Clip, values: Sequence[np.ndarray], pictures: Sequence[np.ndarray], care: StabiliserOptions
) -> list[np.ndarray]:
    """The same after the stabiliser."""
    stabiliser = Stabiliser(care)
    steady = []
    for at, (grey, each, picture) in enumerate(zip(clip.greys, values, pictures, strict=True)):
        steady += stabiliser.step(grey, each, at * FRAME_MS, colours=picture)
    return [item.alpha for item in (*steady, *stabiliser.finish())]


def scores(clip: Clip, alphas: Sequence[np.ndarray]) -> dict[str, float]:
    """What masks (cut at a half) are worth.

    `iou`: mean intersection over union. With E the wrong pixels of a frame, areas over the person's mean area:
    `error_change`: mean area where E differs from the frame before's, pixel by pixel on the screen. A moving
    person's constant, invisible inaccuracy counts in it twice a frame, a racket that the network doesn't know too.
    `flicker`: mean area where the mask differs from the frame before's and the truth doesn't, both carried along
    the motion first: the change of the error that the mask itself makes. A mask that is steadily wrong has none.
    `iou_change`: mean difference of intersection over union between neighbouring frames, whichever way.
    `recall`: share of the people's pixels that is masked where the masks' threshold covers 0.5 % of the background.
    `gaps`: parts of people, of 12 pixels at least, that the masks of both frames around have, carried along the motion,
    and the frame's own hasn't. `holes`: share of the people's area that is a hole in the mask.
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
    """Pixels of people in what doesn't reach the border outside of the mask."""
    outside = np.pad(1 - mask.astype(np.uint8), 1, constant_values=1)
    _, labels = cv2.connectedComponents(outside, connectivity=4)
    is_hole = (labels != labels[0, 0])[1:-1, 1:-1] & ~mask
    return int((is_hole & truth & known).sum())


def _carry_along(masks: Sequence[Bits], at: int, clip: Clip) -> Bits:
    """Where a mask isn't the one before, carried along the motion."""
    return np.asarray(masks[at] ^ _carry(masks[at - 1], clip.flows[at - 1]))


def _carry(mask: Bits, flow: np.ndarray) -> Bits:
    """A mask at the places that a flow leads to."""
    rows, columns = np.indices(MASK, np.float32)
    places = np.dstack([columns, rows]) + flow
    carried = cv2.remap(mask.astype(np.float32), places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(carried >= 0.5)


def compare(clip: Clip, served: Served) -> dict[str, dict[str, float]]:
    """Scores frame by frame, live and offline; `…_lower` is the share by which something fell."""
    found, looks = {}, looked(clip, served)
    found["frame by frame"] = scores(clip, looks.once)
    ahead = StabiliserOptions().ahead
    ways = (("live", looks.once, 0), ("offline", looks.once, ahead), ("offline, closer", looks.twice, ahead))
    for name, values, frames in ways:
        found[name] = scores(clip, stabilised(clip, values, looks.pictures, StabiliserOptions(ahead=frames)))
        for what in ("flicker", "error_change", "iou_change"):
            found[name][f"{what}_lower"] = 1 - found[name][what] / found["frame by frame"][what]
    return found
