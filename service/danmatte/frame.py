"""The types that carry pixels."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
Probabilities: TypeAlias = npt.NDArray[np.float32]
Bits: TypeAlias = npt.NDArray[np.bool_]
TurnStep: TypeAlias = Literal["transposed", "mirrored", "upended"]


class Size(NamedTuple):
    """Rows and columns, in pixels."""

    height: int
    width: int

    @property
    def pixels(self) -> int:
        """Height times width."""
        return self.height * self.width

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True)
class Frame:
    """One decoded picture, upright.

    `pixels` is (H, W, 3) uint8 in the network's channel order. They may have been decoded at a reduced size; `size` is
    the original one, to which masks refer. `warning` says what was wrong with the picture's bytes.
    """

    pixels: Pixels
    size: Size
    warning: str = ""

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels: expected (H, W, 3) uint8, received {self.pixels.shape} {self.pixels.dtype}")
        if min(self.size) < 1 or self.pixels.shape[0] > self.size.height or self.pixels.shape[1] > self.size.width:
            raise ValueError(f"size: expected at least {self.pixels.shape[:2]}, received {self.size}")


@dataclass(frozen=True)
class Mask:
    """A mask: `alpha` is (H, W) uint8, 255 where it is painted; `coverage` is the person's share of it, 0 to 1."""

    alpha: Pixels
    coverage: float

    def __post_init__(self) -> None:
        if self.alpha.dtype != np.uint8 or self.alpha.ndim != 2:
            raise ValueError(f"alpha: expected (H, W) uint8, received {self.alpha.shape} {self.alpha.dtype}")
        if not 0 <= self.coverage <= 1:
            raise ValueError(f"coverage: expected 0 to 1, received {self.coverage}")

    @property
    def size(self) -> Size:
        """The mask's size, as requested."""
        return Size(*self.alpha.shape)
