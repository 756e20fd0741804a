"""Rasterization of SVG paths to a mask: a pixel is painted if its centre is inside by the nonzero winding rule."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from danmatte.errors import TrackError, brief
from danmatte.frame import Bits, Size

_COMMAND = re.compile(r"([MmLlCcZz])([^A-Za-z]*)")
_PAIRS = {"M": 1, "L": 1, "C": 3, "Z": 0}
_TENTHS = 10
_MAX_COORDINATE = 2.0**20
_EIGHTHS = [number / 8 for number in range(1, 9)]


def fill_paths(paths: Sequence[str], size: Size) -> Bits:
    """Return the mask, (H, W), that the paths fill.

    Coordinates are in tenths of a pixel, with y upwards; the commands are `M m L l C c Z z`. Raises TrackError.
    """
    starts, ends = list[complex](), list[complex]()
    for path in paths:
        for outline in _trace_outlines(path):
            starts += outline
            ends += outline[1:] + outline[:1]
    places = np.array([starts, ends])
    if not (np.maximum(np.abs(places.real), np.abs(places.imag)) <= _MAX_COORDINATE).all():
        raise TrackError(f"SVG path: expected numbers within ±{_MAX_COORDINATE:g}")
    (x0, x1), (y0, y1) = places.real / _TENTHS, size.height - places.imag / _TENTHS
    return _fill_edges(np.stack([x0, y0, x1, y1]), size)


def _trace_outlines(path: str) -> Iterator[list[complex]]:
    """Yield the corners x + iy of each closed outline, in the path's own units; a curve becomes eight lines."""
    outline = [0j]
    for letter, pairs in _parse_commands(path):
        if letter in "MmZz":
            yield outline
            pen = outline[0] if letter in "Zz" else outline[-1]
            outline = [pairs.pop(0) + (pen if letter == "m" else 0) if pairs else pen]
        step = 3 if letter in "Cc" else 1
        for first in range(0, len(pairs), step):
            pen = outline[-1]
            knots = [pair + pen if letter.islower() else pair for pair in pairs[first : first + step]]
            if step == 1:
                outline += knots
                continue
            one, two, end = knots  # a cubic Bézier curve from the pen
            for t in _EIGHTHS:
                s = 1 - t
                outline.append(s * s * s * pen + 3 * t * s * (s * one + t * two) + t * t * t * end)
    yield outline


def _parse_commands(path: str) -> Iterator[tuple[str, list[complex]]]:
    """Yield each command's letter and its coordinates x + iy."""
    end = 0
    for found in _COMMAND.finditer(path):
        if path[end : found.start()].strip():
            break
        end = found.end()
        letter, text = found.groups()
        try:
            numbers = [float(word) for word in text.replace(",", " ").replace("-", " -").split()]
        except ValueError as error:
            raise TrackError(f"SVG path: expected numbers, received {brief(text[:200])}") from error
        step = 2 * _PAIRS[letter.upper()]
        if (len(numbers) % step or not numbers) if step else numbers:
            raise TrackError(f"SVG path: {letter}: expected a multiple of {step} numbers, received {len(numbers)}")
        yield letter, [complex(x, y) for x, y in zip(numbers[0::2], numbers[1::2], strict=True)]
    if path[end:].strip():
        raise TrackError(f"SVG path: expected M m L l C c Z z and numbers, received {brief(path[end : end + 200])}")


def _fill_edges(edges: npt.NDArray[np.float64], size: Size) -> Bits:
    """Return the pixels that the edges wind around; `edges` are x0, y0, x1, y1 in pixels, (4, N), y downwards."""
    x0, y0, x1, y1 = edges
    first, last = (np.clip(np.ceil(y - 0.5), 0, size.height) for y in (np.minimum(y0, y1), np.maximum(y0, y1)))
    times = (last - first).astype(np.int64)  # how many rows of pixel centres each edge crosses
    if times.sum() > 2 * size.height * (size.width + 1):
        raise TrackError(
            f"SVG path: expected outlines of a mask of {size}, received ones that cross its rows too often"
        )
    # From here on each element is one crossing: its edge, its row, and the first column to the right of it.
    which = np.repeat(np.arange(len(x0)), times)
    rows = np.arange(len(which)) - np.repeat(np.cumsum(times) - times, times) + first[which].astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):  # a horizontal edge crosses no row, so its slope isn't used
        slope = (x1 - x0) / (y1 - y0)
    crossed = x0[which] + (rows + 0.5 - y0[which]) * slope[which]
    columns = np.clip(np.ceil(crossed - 0.5), 0, size.width).astype(np.int64)
    turns = np.bincount(rows * (size.width + 1) + columns, np.sign(y1 - y0)[which], size.height * (size.width + 1))
    inside: Bits = np.cumsum(turns.reshape(size.height, -1)[:, :-1], axis=1) != 0
    return inside
