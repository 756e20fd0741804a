"""What the official network believes, as soft targets: so that training forgets neither groups nor small figures."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import keras
import numpy as np
from rich.progress import track

from danmatte.contract.framing import Framing
from danmatte_workbench.dataset import read_rgb
from danmatte_workbench.training.deeplab import initialise
from danmatte_workbench.training.deeplab.architecture import Enlarge

SIDES = (513, 769)  # the larger one finds the smaller people


class Teacher:
    """The official network over two sizes and both flips of a picture."""

    def __init__(self, weights: dict[str, initialise.Weights]) -> None:
        self._models = {side: _person_probability(weights, side) for side in SIDES}

    def believe(self, pixels: np.ndarray) -> np.ndarray:
        """The person's probability at every pixel: (H, W) uint8, 255 = certain, of (H, W, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        total = np.zeros((height, width), np.float32)
        for side, model in self._models.items():
            window = Framing((side, side), "letterbox")
            boxed, inner = window.fit_exactly(pixels), window.scale_size((height, width))
            both = np.concatenate([boxed, boxed[:, :, ::-1]]).astype(np.float32) / 127.5 - 1
            upright, mirrored = model.predict_on_batch(both)[..., 0]
            # The boxed picture lies at the left; mirrored, it lies at the right and is mirrored back here.
            mean = (upright + mirrored[:, ::-1])[: inner[0], : inner[1]] / 2
            total += cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.round(255 * total / len(self._models)).astype(np.uint8)


def teach(weights: dict[str, initialise.Weights], pictures: Iterable[Path], folder: Path) -> None:
    """Write the teacher's belief of every picture to ``folder``/NAME.png; what is there already is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [picture for picture in pictures if not (folder / f"{picture.stem}.png").exists()]
    if not missing:
        return
    teacher = Teacher(weights)
    for picture in track(missing, description="asking the teacher"):
        unfinished = folder / f"{picture.stem}.part.png"
        cv2.imwrite(str(unfinished), teacher.believe(read_rgb(picture)))
        unfinished.rename(folder / f"{picture.stem}.png")


def _person_probability(weights: dict[str, initialise.Weights], side: int) -> keras.Model:
    network = initialise.build_official(weights, (side, side))
    logits = Enlarge((side, side))(network.output)
    person = keras.layers.Softmax()(logits)[..., initialise.VOC_PERSON : initialise.VOC_PERSON + 1]
    return keras.Model(network.input, person)
