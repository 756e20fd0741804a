"""Pictures to degrade, shared by the tests of the quality network."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from danmatte_workbench.training.quality.degradation import Picture


def draw_scene(height: int, width: int, seed: int) -> Picture:
    """Return a coloured picture, (H, W, 3) uint8, with coarse forms to fine grain."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((height, width, 3), np.float32)
    for cell in (64, 24, 8, 3, 1):
        noise = rng.normal(0, 1, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        plane += cell**0.8 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(125 + 45 * plane / plane.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def scene() -> Picture:
    """Return a picture of a sample's size."""
    return draw_scene(192, 192, 1)


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of pictures in the layout for training, two for each part."""
    root = tmp_path_factory.mktemp("people")
    for number, part in enumerate(("train", "val", "unlabelled")):
        (root / part / "images").mkdir(parents=True)
        for name in ("a", "b"):
            picture = draw_scene(260, 300, 10 * number + ord(name))
            cv2.imwrite(str(root / part / "images" / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 98])
    return root
