"""Picture files as arrays, for the scripts that measure."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np


def read_image(path: Path, mode: int = cv2.IMREAD_COLOR_RGB) -> np.ndarray[Any, np.dtype[Any]]:
    """Read a picture, (H, W, 3) uint8 RGB unless ``mode`` says otherwise; ends the script where there is none."""
    picture = cv2.imread(str(path), mode)
    if picture is None:
        raise SystemExit(f"{path}: expected a picture")
    return picture
