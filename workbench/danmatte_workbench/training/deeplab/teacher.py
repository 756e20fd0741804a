"""Predictions of trained networks as soft targets, so that training doesn't forget groups and small figures."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import keras
import numpy as np
from rich.progress import track

from danmatte.contract.framing import Framing
from danmatte_workbench.dataset import read_rgb
from danmatte_workbench.training.deeplab import architecture, initialise
from danmatte_workbench.training.deeplab.architecture import Enlarge


@dataclass(frozen=True)
class Look:
    """A teacher's input size, and how pictures are fitted to it."""

    side: int
    rule: Literal["stretch", "letterbox"]


OFFICIAL_LOOKS = (Look(513, "letterbox"), Look(769, "letterbox"))  # the larger size finds smaller people
SOURCE_LOOKS = (Look(513, "stretch"), Look(641, "letterbox"))
SOURCE_KINDS = ("davis_", "pf_")  # in addition to unlabelled pictures: sets whose labels are often ignored or missing


class Teacher:
    """A network that predicts at several sizes and with both flips, for all pictures or for those with poor labels."""

    def __init__(self, models: dict[Look, keras.Model], *, knows_all: bool) -> None:
        self._models = models
        self._knows_all = knows_all

    @classmethod
    def from_official(cls, weights: dict[str, initialise.Weights]) -> "Teacher":
        """Create a teacher from the official network of PASCAL VOC."""
        models = {}
        for look in OFFICIAL_LOOKS:
            network = initialise.build_official(weights, (look.side, look.side))
            models[look] = _person_probability(network, look.side, initialise.VOC_PERSON)
        return cls(models, knows_all=True)

    @classmethod
    def from_source(cls, weights: dict[str, initialise.Kernel]) -> "Teacher":
        """Create a teacher from a network that was trained here."""
        models = {}
        for look in SOURCE_LOOKS:
            network = architecture.build((look.side, look.side))
            initialise.go_on_from(network, weights)
            models[look] = _person_probability(network, look.side, architecture.PERSON)
        return cls(models, knows_all=False)

    def knows(self, picture: Path) -> bool:
        """Return whether this teacher predicts for the picture."""
        return self._knows_all or picture.parts[-3] == "unlabelled" or picture.stem.startswith(SOURCE_KINDS)

    def believe(self, pixels: np.ndarray) -> np.ndarray:
        """Return the person's probability at every pixel, (H, W) float32, of a picture, (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        total = np.zeros((height, width), np.float32)
        for look, model in self._models.items():
            window = Framing((look.side, look.side), look.rule)
            boxed, inner = window.fit_exactly(pixels), window.scale_size((height, width))
            both = np.concatenate([boxed, boxed[:, :, ::-1]]).astype(np.float32) / 127.5 - 1
            upright, mirrored = model.predict_on_batch(both)[..., 0]
            # The boxed picture is at the left. The mirrored one is at the right and is mirrored back here.
            mean = (upright + mirrored[:, ::-1])[: inner[0], : inner[1]] / 2
            total += cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
        return total / len(self._models)


def teach(teachers: Sequence[Teacher], pictures: Iterable[Path], folder: Path) -> None:
    """Write the mean prediction of the teachers for each picture to ``folder``/NAME.png; existing files are kept.

    If teachers disagree, their mean is near one half, which gets the smallest weight in training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [picture for picture in pictures if not (folder / f"{picture.stem}.png").exists()]
    for picture in track(missing, description="teachers' predictions"):
        pixels = read_rgb(picture)
        # Each is rounded before averaging, as if it had been stored.
        beliefs = [np.round(255 * each.believe(pixels)) for each in teachers if each.knows(picture)]
        unfinished = folder / f"{picture.stem}.part.png"
        mean = np.round(np.stack(beliefs).mean(axis=0))
        cv2.imwrite(str(unfinished), mean.astype(np.uint8))
        unfinished.rename(folder / f"{picture.stem}.png")


def _person_probability(network: keras.Model, side: int, person: int) -> keras.Model:
    """Return a model with ``network``'s probability of a person as output, (batch, side, side, 1) float32."""
    probabilities = keras.layers.Softmax(dtype="float32")(network.output)[..., person : person + 1]
    return keras.Model(network.input, Enlarge((side, side), dtype="float32")(probabilities))
