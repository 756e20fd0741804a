"""Paths of graphs and pictures by others; tests that need them are skipped with the reason if they don't exist."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("DANMATTE_SHARED", ROOT.parent / "shared"))
PORTRAIT = "models/deeplab_portrait_dm05/frozen_inference_graph.pb"
OFFICIAL = "models/deeplabv3_voc/deeplabv3_mnv2_pascal_quant.tflite"
PICTURES = "data/people/val/images"


def needed(name: str) -> Path:
    """Return the path of a shared file or folder; skip the test if it doesn't exist."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"{path}: doesn't exist; DANMATTE_SHARED sets the folder of shared files")
    return path


def default_graph() -> Path:
    """Return the path of the default model's source graph; skip the test if it doesn't exist."""
    path = ROOT / "models/deeplab/frozen_inference_graph.pb"
    if not path.exists():
        pytest.skip(f"{path}: doesn't exist; the default model isn't trained yet")
    return path


def frames(count: int, side: int = 513) -> list[np.ndarray]:
    """Return real pictures, spread over the folder, stretched to (1, side, side, 3) uint8 RGB."""
    paths = sorted(needed(PICTURES).glob("*.jpg"))
    chosen = paths[:: max(1, len(paths) // count)][:count]
    pictures = (cv2.imread(str(path), cv2.IMREAD_COLOR_RGB) for path in chosen)
    return [cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)[None] for picture in pictures]
