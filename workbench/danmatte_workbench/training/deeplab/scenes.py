"""Training pictures of people, groups, crowds and empty scenes, drawn in fixed proportions."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from danmatte_workbench.dataset import BACKGROUND, IGNORE, PERSON, read_grey, read_rgb
from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import augment
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT, Scene, View

TRUST_IN_TEACHER = 0.5
LABEL_SHIFT = {
    "ccp": -1
}  # pixels to the right by which the masks of these pictures are shifted, because they fit best there
TEACHER_IN_LABELS = 0.3  # share of a teacher in an everyday scene's target, times its IoU with the label
STRANGER = 160  # the teacher's probability × 255 above which an unlabelled region is a person
STRANGERS_IN = ("ccp", "pf")  # their labels omit people in the background
CLEAR_OF_LABELS = 12  # pixels that a stranger must be away from labels
DISTANT, CLOSE = 0.02, 0.4  # shares of the frame below and above which people are separate kinds


@dataclass(frozen=True)
class Kind:
    """How pictures of one kind are drawn.

    share: of all pictures drawn. pasted: share of them that get cut-out people. nearest, farthest: range of zoom.
    """

    share: float
    pasted: float
    nearest: float
    farthest: float


KINDS = {
    "fashion": Kind(share=0.185, pasted=0.1, nearest=2.5, farthest=0.45),
    "everyday": Kind(share=0.291, pasted=0.1, nearest=1.8, farthest=0.6),
    "distant": Kind(share=0.107, pasted=0.1, nearest=2.5, farthest=0.8),
    "close": Kind(share=0.048, pasted=0.1, nearest=2.5, farthest=0.5),
    "street": Kind(share=0.049, pasted=0.1, nearest=1.6, farthest=0.4),
    "video": Kind(share=0.097, pasted=0.1, nearest=1.6, farthest=0.6),
    "empty": Kind(share=0.155, pasted=0.25, nearest=1.8, farthest=0.6),
    "unlabelled": Kind(share=0.068, pasted=0.3, nearest=2.0, farthest=0.5),
}


@dataclass
class Scenes:
    """Training pictures of ``folder``, laid out as the README of ``people/`` describes.

    beliefs: folder with the predictions of the teachers. Raises InputError if there are no training pictures.
    """

    folder: Path
    beliefs: Path
    pictures: dict[str, list[Path]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        labelled = sorted((self.folder / "train/images").glob("*.jpg"))
        if not labelled:
            raise InputError(f"{self.folder}: expected train/images/*.jpg with train/masks/*.png beside them")
        for picture in labelled:
            self.pictures.setdefault(_kind(picture), []).append(picture)
        self.pictures["unlabelled"] = sorted((self.folder / "unlabelled/images").glob("*.jpg"))
        self.cut_outs = [picture for picture in labelled if _is_whole(picture)]
        self.read = lru_cache(maxsize=None)(self._read)

    def draw(self, side: int, lean: float, whole: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return an augmented view, see ``augment.look``; ``lean`` and ``whole`` are as in ``augment.View``.

        If ``whole`` isn't 0, the zoom of the other views is limited, so that it stays close to the serving size.
        """
        names = [name for name in KINDS if self.pictures.get(name)]
        shares = np.array([KINDS[name].share for name in names])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        kind = KINDS[name]
        scene = self.read(self._pick(self.pictures[name], rng))
        if rng.random() < kind.pasted and self.cut_outs:
            people = [self.read(self._pick(self.cut_outs, rng)) for _ in range(int(rng.integers(1, 5)))]
            scene = augment.paste(scene, people, rng)
        nearest = min(kind.nearest, 1.9) if whole else kind.nearest
        farthest = max(kind.farthest, 0.7) if whole else kind.farthest
        return augment.look(scene, View(side, nearest, farthest, lean, whole), rng)

    @staticmethod
    def _pick(pictures: list[Path], rng: np.random.Generator) -> Path:
        return pictures[int(rng.integers(len(pictures)))]

    def _read(self, picture: Path) -> Scene:
        pixels = read_rgb(picture)
        belief, trust = self._belief(picture, pixels.shape[:2])
        if not _mask(picture).exists():
            return Scene(pixels, belief, np.round(trust).astype(np.uint8))
        mask = read_grey(_mask(picture))
        if shift := LABEL_SHIFT.get(picture.stem.split("_")[0], 0):
            mask = np.roll(mask, shift, axis=1)
        if picture.stem.startswith(STRANGERS_IN):
            mask = np.where(_strangers(belief, mask), IGNORE, mask)
        share = 0.0
        if picture.stem.startswith(("coco_", "pf_")) and trust.any():
            # In proportion to the IoU of the teacher's mask and the label; 1 if both are empty.
            seen, person = (belief > 127) & (mask != IGNORE), mask == PERSON
            either = int((seen | person).sum())
            share = TEACHER_IN_LABELS * (int((seen & person).sum()) / either if either else 1.0)
        labels = (1 - share) * np.where(mask == PERSON, 255.0, 0.0) + share * belief
        target = np.where(mask == IGNORE, belief, labels)
        weight = np.where(mask == IGNORE, trust, FULL_WEIGHT)
        return Scene(pixels, np.round(target).astype(np.uint8), np.round(weight).astype(np.uint8))

    def _belief(self, picture: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Return the teacher's probability × 255, (H, W) uint8, and its weight; zeros if there is no prediction."""
        path = self.beliefs / f"{picture.stem}.png"
        if not path.exists():
            return np.zeros(size, np.uint8), np.zeros(size, np.float32)
        belief = read_grey(path)
        certainty = np.abs(belief.astype(np.float32) / 127.5 - 1) ** 2
        return belief, TRUST_IN_TEACHER * FULL_WEIGHT * certainty


def _mask(picture: Path) -> Path:
    return picture.parent.parent / "masks" / f"{picture.stem}.png"


def _kind(picture: Path) -> str:
    source = picture.stem.split("_")[0]
    if source != "coco":
        return {"ccp": "fashion", "davis": "video", "pf": "street"}.get(source, "everyday")
    share = float((read_grey(_mask(picture)) == PERSON).mean())
    if not share:
        return "empty"
    return "distant" if share < DISTANT else "close" if share > CLOSE else "everyday"


def _strangers(belief: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return where the teacher sees people without a label, (H, W) bool, with a margin of 4 pixels around them."""
    _, places = cv2.connectedComponents((belief > STRANGER // 2).astype(np.uint8))
    labelled = cv2.dilate((mask != BACKGROUND).astype(np.uint8), _disc(CLEAR_OF_LABELS)) > 0
    sure = np.setdiff1d(places[belief > STRANGER], places[labelled])
    return cv2.dilate(np.isin(places, sure[sure > 0]).astype(np.uint8), _disc(4)) > 0


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _is_whole(picture: Path) -> bool:
    """Return whether a picture's people can be cut out.

    No ignored pixels, such as a bag, may be next to the person. Except in fashion photographs, only the lower border
    may cut the person off, and the figure must be large, because then its outline is labelled precisely. Frames of
    videos aren't used, because there are only a few videos.
    """
    mask = read_grey(_mask(picture))
    person = mask == PERSON
    if picture.stem.startswith("davis_") or not person.any():
        return False
    near = cv2.dilate(person.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if (near & (mask == IGNORE)).mean() >= 0.0005:
        return False
    bordering = person[0].any() or person[:, 0].any() or person[:, -1].any()
    return picture.stem.startswith("ccp_") or bool(not bordering and 0.06 < person.mean() < 0.5)
