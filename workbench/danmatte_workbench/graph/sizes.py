"""The picture sizes that a graph accepts: a size that is fixed inside it, or sizes that fit."""

from collections.abc import Sequence
from typing import TypeAlias

import openvino as ov

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.graph.layers import index_by_name

Size: TypeAlias = tuple[int, int]  # height, width
_STRIDE, _REACH = 32, 6  # multiples of a stride, or plus one, suit most networks; the number tried in each direction
_NEAREST = 3


def set_size(port: ov.Output, size: Size, *, channels_first: bool, channels: int = 3) -> ov.PartialShape:
    """Return the port's shape for pictures of ``size``; batch and channels stay, or are one picture if unknown."""
    given = port.get_partial_shape()
    if given.rank.is_dynamic:
        return ov.PartialShape([1, channels, *size] if channels_first else [1, *size, channels])
    sides = list(given)
    rows = 2 if channels_first else 1
    sides[rows : rows + 2] = [ov.Dimension(side) for side in size]
    return ov.PartialShape(sides)


def find_inner_size(model: ov.Model, port: ov.Output, *, channels_first: bool) -> Size | None:
    """Return the (height, width) that is fixed inside a graph whose input takes any size.

    A reshape or padding may fix it. Returns None if other sizes are accepted as well, because a resize comes first.
    """
    anatomy = Anatomy.from_openvino(model)
    place = anatomy.find_first_convolution(port.get_node().get_friendly_name())
    if place is None:
        return None
    number, _, name = place.partition(":")
    shape = index_by_name(model)[name].input_value(int(number)).get_partial_shape()
    if shape.rank.is_dynamic or len(shape) != 4 or shape[2].is_dynamic or shape[3].is_dynamic:
        return None
    sides = [side.get_length() if side.is_static else 0 for side in shape]
    size = (sides[2], sides[3]) if sides[3] > 4 or sides[1] <= 4 else (sides[1], sides[2])
    other = (size[0] + 32, size[1] + 32)
    alone = fits(model, port, size, channels_first=channels_first) and not fits(
        model, port, other, channels_first=channels_first
    )
    return size if alone else None


def fits(model: ov.Model, port: ov.Output, size: Size, *, channels_first: bool) -> bool:
    """Return whether all shapes inside the graph are valid for pictures of ``size`` at its input ``port``."""
    number = next(n for n, own in enumerate(model.inputs) if own.get_node() == port.get_node())
    tried = model.clone()
    shape = set_size(tried.input(number), size, channels_first=channels_first)
    if not (port.get_partial_shape().rank.is_dynamic or port.get_partial_shape().compatible(shape)):
        return False
    try:
        tried.reshape({tried.input(number): shape})
    except RuntimeError:
        return False
    return True


def find_nearest_fits(model: ov.Model, port: ov.Output, size: Size, *, channels_first: bool) -> list[Size]:
    """Return the few sizes closest to ``size`` that fit, the smallest first.

    Multiples of a stride, and those plus one, are tried first, since they suit most networks; then all others.
    """
    grid = {
        (_snap(size[0], rest) + steps * _STRIDE, _snap(size[1], rest) + steps * _STRIDE)
        for rest in (0, 1)
        for steps in range(-_REACH, _REACH + 1)
    }
    dense = {(size[0] + offset, size[1] + offset) for offset in range(-_STRIDE, _STRIDE + 1)}
    for candidates in (grid, dense):
        found: list[Size] = []
        for near in sorted(candidates, key=lambda item: (abs(item[0] - size[0]) + abs(item[1] - size[1]), item)):
            if len(found) < _NEAREST and min(near) > 1 and fits(model, port, near, channels_first=channels_first):
                found.append(near)
        if found:
            return sorted(found)
    return []


def _snap(side: int, rest: int) -> int:
    """Return the nearest side with the remainder ``rest`` after division by the stride."""
    return round((side - rest) / _STRIDE) * _STRIDE + rest


def choose_size(model: ov.Model, wanted: Size | None, default: Size, *, channels_first: bool) -> tuple[Size, str]:
    """Return the picture size for a graph whose input takes any, and how it was chosen, in words.

    It is the size that is fixed inside, the ``wanted`` one, or the nearest one to ``default`` that fits. Raises
    InputError if the wanted size doesn't fit.
    """
    port = model.input(0)
    inner = find_inner_size(model, port, channels_first=channels_first)
    if inner:
        if wanted not in (None, inner):
            raise InputError(
                f"can't take pictures of {list_sizes([wanted])}; the size fixed inside is {list_sizes([inner])}"
            )
        return inner, f"its input takes any size, but {inner[1]}×{inner[0]} is fixed inside"
    size = wanted or default
    if not fits(model, port, size, channels_first=channels_first):
        near = find_nearest_fits(model, port, size, channels_first=channels_first)
        if wanted or not near:
            hint = f"; the nearest that fit: {list_sizes(near)}" if near else ""
            raise InputError(f"can't take pictures of {list_sizes([size])}{hint}")
        size = min(near, key=lambda item: abs(item[0] - size[0]))
        return size, f"its input takes many sizes; {size[1]}×{size[0]} was chosen"
    return size, "" if wanted else f"its input takes any size; {size[1]}×{size[0]} was chosen"


def list_sizes(sizes: Sequence[Size]) -> str:
    """Return the sizes in words: squares by their side, others as WIDTH×HEIGHT.

    The order is stated, because shapes have the height first.
    """
    words = ", ".join(str(height) if height == width else f"{width}×{height}" for height, width in sizes)
    return words if all(height == width for height, width in sizes) else f"{words} (width×height)"
