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
    }


def _carry_along(masks: Sequence[Bits], at: int, clip: Clip) -> Bits:
    """Where a mask isn't the one before, carried along the motion."""
    rows, columns = np.indices(MASK, np.float32)
    places = np.dstack([columns, rows]) + clip.flows[at - 1]
    before = masks[at - 1].astype(np.float32)
    carried = cv2.remap(before, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[call-overload]
    return np.asarray(masks[at] ^ (carried >= 0.5))


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
