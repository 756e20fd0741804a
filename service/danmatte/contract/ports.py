"""A published graph's inputs and outputs, each with its meaning (models/CONTRACT.md)."""

import math
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from danmatte.contract.grid import Grid
from danmatte.contract.measurement import Text
from danmatte.contract.shapes import Dtype, Shape, Side, SideRange, format_shape, has_ranges

PICTURE_SIDES = range(16, 4097)
REGION = "[a-z0-9][a-z0-9_-]{0,63}"
PERSON = "person"

Byte = Annotated[int, Meta(ge=0, le=255)]
RegionName = Annotated[str, Meta(pattern=rf"^{REGION}$(?!\n)")]
Share = Annotated[float, Meta(ge=0, le=1)]
Labels = Annotated[tuple[Annotated[str, Meta(max_length=1000)], ...], Meta(max_length=2**16)]
PictureLayout: TypeAlias = Literal["NHWC", "NCHW"]
Column: TypeAlias = Literal["x1", "y1", "x2", "y2", "cx", "cy", "width", "height", "score", "class", "other"]
_CORNERS, _CENTRE = frozenset({"x1", "y1", "x2", "y2"}), frozenset({"cx", "cy", "width", "height"})


class _Port(Struct, frozen=True, forbid_unknown_fields=True):
    """An input or output; `name` is the tensor's name in the graph."""

    name: Text
    shape: Shape

    @property
    def meaning(self) -> str:
        """The manifest's tag for this kind of port."""
        return str(self.__struct_config__.tag)


class Resize(Struct, frozen=True, forbid_unknown_fields=True):
    """How a frame is resized to the input's size."""

    rule: Literal["stretch", "letterbox"]
    fill: tuple[Byte, Byte, Byte]


class PictureInput(_Port, frozen=True, tag_field="kind", tag="picture"):
    """One picture, 1×H×W×3 or 1×3×H×W, with values from 0 to 255 as bytes or floats."""

    dtype: Literal["u8", "f32"]
    layout: PictureLayout
    colour: Literal["RGB", "BGR"]
    resize: Resize

    def __post_init__(self) -> None:
        """Raise ValueError for a shape that isn't a picture's, or that `resize` can't be used with."""
        expected = "1, H, W, 3" if self.layout == "NHWC" else "1, 3, H, W"
        if len(self.shape) != 4 or self.shape[0] != 1 or self.shape[1 if self.layout == "NCHW" else 3] != 3:
            raise ValueError(f"Expected a shape [{expected}], received {format_shape(self.shape)}")
        ends = [
            end for side in self.sides for end in ((side.min, side.max) if isinstance(side, SideRange) else (side,))
        ]
        if not all(end in PICTURE_SIDES for end in ends):
            limits = f"{PICTURE_SIDES[0]} to {PICTURE_SIDES[-1]} pixels"
            raise ValueError(f"Expected sides of {limits}, received {format_shape(self.shape)}")
        if self.resize.rule == "letterbox" and has_ranges(self.shape):
            raise ValueError(f"Expected fixed sides for a letterbox, received {format_shape(self.shape)}")

    @property
    def sides(self) -> tuple[Side, Side]:
        """Height and width."""
        first = 1 if self.layout == "NHWC" else 2
        return self.shape[first], self.shape[first + 1]

    @property
    def largest_size(self) -> tuple[int, int]:
        """The largest height and width that the graph takes."""
        return self.choose_size((PICTURE_SIDES[-1], PICTURE_SIDES[-1]))

    def choose_size(self, frame: tuple[int, int]) -> tuple[int, int]:
        """Return the input's height and width for a frame of this height and width."""
        height, width = (
            side.find_nearest(length) if isinstance(side, SideRange) else side
            for side, length in zip(self.sides, frame, strict=True)
        )
        return height, width


class TensorInput(_Port, frozen=True, tag_field="kind", tag="tensor"):
    """Numbers of any meaning."""

    dtype: Dtype


class Channel(Struct, frozen=True, forbid_unknown_fields=True):
    """The region that a channel shows, such as `person` or `text`, and the minimum probability of its pixels."""

    region: RegionName
    threshold: Share


class RegionsOutput(_Port, frozen=True, tag_field="meaning", tag="regions"):
    """Maps of probabilities, one for each region of a picture. NHW is a single map without a channel dimension."""

    dtype: Literal["f32"]
    layout: Literal["NHWC", "NCHW", "NHW"]
    channels: Annotated[tuple[Channel, ...], Meta(min_length=1, max_length=256)]
    grid: Grid

    def __post_init__(self) -> None:
        """Raise ValueError for a shape that doesn't match the layout and channels, or a region named twice."""
        count = len(self.channels)
        place = {"NHWC": 3, "NCHW": 1, "NHW": 0}[self.layout]
        fits = len(self.shape) == len(self.layout) and self.shape[0] == 1
        if not fits or self.shape[place] != count:
            raise ValueError(
                f"Expected a shape of {self.layout} with {count} channels, received {format_shape(self.shape)}"
            )
        if len({channel.region for channel in self.channels}) < count:
            raise ValueError("Expected a name for each channel, received one twice")

    @property
    def regions(self) -> tuple[str, ...]:
        """The channels' names."""
        return tuple(channel.region for channel in self.channels)

    @property
    def sides(self) -> tuple[Side, Side]:
        """Height and width."""
        first = 2 if self.layout == "NCHW" else 1
        return self.shape[first], self.shape[first + 1]


class ScoresOutput(_Port, frozen=True, tag_field="meaning", tag="scores"):
    """A number for each class, higher for likelier classes; `labels` are the classes' names, or empty."""

    dtype: Dtype
    labels: Labels

    def __post_init__(self) -> None:
        """Raise ValueError if the number of classes isn't fixed, or differs from the number of labels."""
        if not self.shape or isinstance(self.shape[-1], SideRange):
            raise ValueError(f"Expected a fixed number of classes last, received {format_shape(self.shape)}")
        if len(self.labels) not in (0, self.shape[-1]):
            raise ValueError(f"Expected {self.shape[-1]} labels or none, received {len(self.labels)}")


class BoxesOutput(_Port, frozen=True, tag_field="meaning", tag="boxes"):
    """Rectangles, one in each row; `columns` are the meanings of a row's numbers.

    units: whether positions are pixels of the graph's input or shares of its sides, from 0 to 1. scores, classes,
    count: the names of the outputs with each row's score, each row's class, and the number of valid rows; empty if
    there is none. labels: the classes' names, or empty.
    """

    dtype: Dtype
    columns: Annotated[tuple[Column, ...], Meta(min_length=4, max_length=64)]
    units: Literal["pixels", "shares"]
    scores: Annotated[str, Meta(max_length=1000)]
    classes: Annotated[str, Meta(max_length=1000)]
    count: Annotated[str, Meta(max_length=1000)]
    labels: Labels

    def __post_init__(self) -> None:
        """Raise ValueError for columns that don't define a rectangle, or a shape that doesn't match the columns."""
        places = [column for column in self.columns if column in _CORNERS | _CENTRE]
        if set(places) not in (_CORNERS, _CENTRE) or len(places) != 4:
            raise ValueError(f"Expected x1, y1, x2, y2 or cx, cy, width, height, received {', '.join(self.columns)}")
        if len(self.shape) < 2 or self.shape[-1] != len(self.columns):
            rows = f"rows of {len(self.columns)} numbers"
            raise ValueError(f"Expected {rows}, received {format_shape(self.shape)}")


class ScoreOutput(_Port, frozen=True, tag_field="meaning", tag="score"):
    """One number for each picture; `unit` is its unit, empty if it has none."""

    dtype: Dtype
    unit: Annotated[str, Meta(max_length=100)]

    def __post_init__(self) -> None:
        """Raise ValueError for more than one number."""
        if has_ranges(self.shape) or math.prod(self.shape) != 1:  # type: ignore[arg-type]
            raise ValueError(f"Expected one number, received {format_shape(self.shape)}")


class TensorOutput(_Port, frozen=True, tag_field="meaning", tag="tensor"):
    """Numbers of a meaning that the contract doesn't define."""

    dtype: Dtype


Input: TypeAlias = PictureInput | TensorInput
Output: TypeAlias = RegionsOutput | ScoresOutput | BoxesOutput | ScoreOutput | TensorOutput
