"""The positions of a graph's output values in its input.

The three conventions are named as in ONNX's `Resize` and in TensorFlow's arguments.
"""

from typing import Annotated, Self

from msgspec import Meta, Struct

Stride = Annotated[float, Meta(gt=0, le=4096)]
Offset = Annotated[float, Meta(ge=-4096, le=4096)]


class Grid(Struct, frozen=True, forbid_unknown_fields=True):
    """Output value (j, i) lies at input pixel (offset_y + j·step_y, offset_x + i·step_x), between pixel centres."""

    step_y: Stride
    step_x: Stride
    offset_y: Offset
    offset_x: Offset

    @classmethod
    def align_corners(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> Self:
        """Return the grid whose corner values lie on corner pixels; sizes are (height, width)."""
        step_y, step_x = ((i - 1) / (o - 1) if o > 1 else 1.0 for i, o in zip(inputs, outputs, strict=True))
        return cls(step_y, step_x, 0.0, 0.0)

    @classmethod
    def asymmetric(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> Self:
        """Return the grid scaled from the top left pixel, TensorFlow 1's default; sizes are (height, width)."""
        step_y, step_x = (i / o for i, o in zip(inputs, outputs, strict=True))
        return cls(step_y, step_x, 0.0, 0.0)

    @classmethod
    def half_pixel(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> Self:
        """Return the grid with pixel centres at halves; sizes are (height, width)."""
        step_y, step_x = (i / o for i, o in zip(inputs, outputs, strict=True))
        return cls(step_y, step_x, (step_y - 1) / 2, (step_x - 1) / 2)

    @classmethod
    def guess(cls, inputs: tuple[int, int], outputs: tuple[int, int]) -> Self:
        """Return the usual grid for such sizes: 513 to 33 aligns corners, and 512 to 32 aligns pixel centres."""
        whole = all(o > 1 and (i - 1) % (o - 1) == 0 for i, o in zip(inputs, outputs, strict=True))
        return cls.align_corners(inputs, outputs) if whole else cls.half_pixel(inputs, outputs)
