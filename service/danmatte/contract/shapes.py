"""Shapes of tensors, whose sides are fixed or within a range, and the data types of tensors."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

_SIDE_LIMIT = 2**24
_RANK = 8  # of a tensor, at most

FixedSide = Annotated[int, Meta(ge=1, le=_SIDE_LIMIT)]
Dtype: TypeAlias = Literal["boolean", "u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f16", "f32", "f64"]


class SideRange(Struct, frozen=True, forbid_unknown_fields=True):
    """A side that may be `min`, `min` + `step`, and so on up to `max`; 0 is allowed, as for an output without boxes."""

    min: Annotated[int, Meta(ge=0, le=_SIDE_LIMIT)]
    max: FixedSide
    step: FixedSide

    def __post_init__(self) -> None:
        """Raise ValueError unless `max` is `min` plus a whole number of steps."""
        if self.max < self.min or (self.max - self.min) % self.step:
            raise ValueError(f"Expected max to be min plus a whole number of steps, received {self}")

    def __str__(self) -> str:
        step = "" if self.step == 1 else f" by {self.step}"
        return f"{self.min} to {self.max}{step}"

    def __contains__(self, length: object) -> bool:
        return isinstance(length, int) and self.min <= length <= self.max and not (length - self.min) % self.step

    def find_nearest(self, length: int) -> int:
        """Return the allowed length that is nearest to this one; of two equally near ones, the larger."""
        steps = (2 * (length - self.min) + self.step) // (2 * self.step)
        return min(self.max, max(self.min, self.min + steps * self.step))


Side: TypeAlias = FixedSide | SideRange
Shape = Annotated[tuple[Side, ...], Meta(max_length=_RANK)]


def fits_shape(shape: tuple[Side, ...], received: tuple[int, ...]) -> bool:
    """Return whether the shape `received` matches `shape`."""
    return len(shape) == len(received) and all(
        length in side if isinstance(side, SideRange) else length == side
        for side, length in zip(shape, received, strict=True)
    )


def format_shape(shape: tuple[Side, ...]) -> str:
    """Return the shape for a message, such as `[1, 32 to 960 by 32, 3]`."""
    return f"[{', '.join(map(str, shape))}]"


def has_ranges(shape: tuple[Side, ...]) -> bool:
    """Return whether any side isn't fixed."""
    return any(isinstance(side, SideRange) for side in shape)
