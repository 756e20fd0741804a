"""The training pictures: people, groups, crowds and empty scenes, drawn in set proportions."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from danmatte_workbench.dataset import IGNORE, PERSON, read_grey, read_rgb
from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import augment
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT, Scene, View

TRUST_IN_TEACHER = 0.5
LABEL_SHIFT = {"ccp": -1}  # pixels to the right: masks fit these pictures best when moved by about that much
TEACHER_IN_LABELS = 0.3  # of a labelled everyday scene's target, the share that is the teacher's belief


@dataclass(frozen=True)
class Kind:
    """Pictures of one kind, how often they are drawn, and how near and far the crop may go."""

    share: float
    pasted: float  # how often cut-out people are put before them
    nearest: float
    farthest: float


KINDS = {
    "fashion": Kind(share=0.24, pasted=0.1, nearest=2.2, farthest=0.45),
    "everyday": Kind(share=0.38, pasted=0.15, nearest=1.6, farthest=0.6),
    "video": Kind(share=0.14, pasted=0.1, nearest=1.4, farthest=0.6),
    "empty": Kind(share=0.16, pasted=0.5, nearest=1.5, farthest=0.6),
    "unlabelled": Kind(share=0.08, pasted=0.3, nearest=1.6, farthest=0.5),
}


@dataclass
class Scenes:
    """``people/`` as its README lays it out, with the teacher's beliefs beside it."""

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
        self.cut_outs = [picture for picture in self.pictures.get("fashion", []) if _is_whole(picture)]
        self.read = lru_cache(maxsize=None)(self._read)

    def draw(self, side: int, lean: float, near_full: bool, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """One augmented view, see ``augment.look``.

        ``near_full`` keeps the zoom close to the serving size, ``lean`` spreads the shapes.
        """
        names = [name for name in KINDS if self.pictures.get(name)]
        shares = np.array([KINDS[name].share for name in names])
        name = names[int(rng.choice(len(names), p=shares / shares.sum()))]
        kind = KINDS[name]
        scene = self.read(self._pick(self.pictures[name], rng))
        if rng.random() < kind.pasted and self.cut_outs:
            people = [self.read(self._pick(self.cut_outs, rng)) for _ in range(int(rng.integers(1, 5)))]
            scene = augment.paste(scene, people, rng)
        nearest = min(kind.nearest, 1.7) if near_full else kind.nearest
        farthest = max(kind.farthest, 0.7) if near_full else kind.farthest
        return augment.look(scene, View(side, nearest, farthest, lean), rng)

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
        share = TEACHER_IN_LABELS if picture.stem.startswith("coco_") and trust.any() else 0.0
        labels = (1 - share) * np.where(mask == PERSON, 255.0, 0.0) + share * belief
        target = np.where(mask == IGNORE, belief, labels)
        weight = np.where(mask == IGNORE, trust, FULL_WEIGHT)
        return Scene(pixels, np.round(target).astype(np.uint8), np.round(weight).astype(np.uint8))

    def _belief(self, picture: Path, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """The teacher's belief, (H, W) uint8, and how far to trust it; nothing at all where it wasn't asked."""
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
    if source == "coco" and not (read_grey(_mask(picture)) == PERSON).any():
        return "empty"
    return {"ccp": "fashion", "coco": "everyday", "davis": "video"}.get(source, "everyday")


def _is_whole(picture: Path) -> bool:
    """Nothing ignored next to the person, such as a bag that would be missing from a cut-out."""
    mask = read_grey(_mask(picture))
    near = cv2.dilate((mask == PERSON).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return bool((near & (mask == IGNORE)).mean() < 0.0005 and (mask == PERSON).any())
