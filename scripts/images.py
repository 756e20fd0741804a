"""Reading of picture files, for the scripts that measure."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np


def read_image(path: Path, mode: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray[Any, np.dtype[Any]]:
    """Read a picture, by default (H, W, 3) uint8 RGB; ``mode`` is OpenCV's. Raises SystemExit if it can't be read."""
    picture = cv2.imread(str(path), mode)
    if picture is None:
        raise SystemExit(f"{path}: expected a picture")
    return picture
