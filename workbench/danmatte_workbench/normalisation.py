"""The normalisation of pixels before they enter a network."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

Channels: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Normalisation:
    """The normalisation (pixel − mean) / scale, with one mean and scale per channel in ``colour`` order."""

    colour: Literal["RGB", "BGR"]
    mean: Channels
    scale: Channels

    def apply(self, picture: np.ndarray) -> np.ndarray:
        """Convert (1, H, W, 3) uint8 RGB to normalised float32 of the same shape."""
        ordered = picture if self.colour == "RGB" else picture[..., ::-1]
        mean, scale = np.array(self.mean, np.float32), np.array(self.scale, np.float32)
        return np.asarray((ordered.astype(np.float32) - mean) / scale)
