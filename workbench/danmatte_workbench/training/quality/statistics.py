"""The fixed part of the quality network: statistics, called counts, of a picture of any size.

Damage shows in the distribution of differences between neighbouring pixels (Mittal et al., IEEE TIP 2012, for
brightness divided by its local contrast): blur removes large differences, noise removes small ones, bands leave many
zeros and few steps, and blocks add steps at multiples of eight. Counts are means over the whole picture, so the counts
of a picture are the mean of those of its parts.

Everything is computed by convolutions and means, because pooling of a single channel and its many slices took two
thirds of the time. At full size, local counts use every second place along and across. They are the same and take a
quarter of the work.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from danmatte_workbench.training.quality.plane import Kernel, Plane, convolve, split, stack

SCALES = (1, 2, 4)  # side of the square of pixels that are averaged
THRESHOLDS = (0.0, 0.7, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0)  # grey levels
SPREADS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # grey levels of local deviation
DETAILS = (
    0.02,
    0.05,
    0.1,
    0.15,
    0.2,
    0.3,
    0.4,
    0.6,
    0.8,
    1.0,
)  # differences between neighbours over the local deviation
TINTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # grey levels between neighbours in a colour channel
BANDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # grey levels of local deviation that separate weak detail from strong
BAND_DETAILS = (0.0, 0.1, 0.2, 0.35)  # of the local deviation, as DETAILS
SHARES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5)  # of the local deviation
WINDOW = 7  # pixels: side of the window of local statistics
BLOCK = 8  # pixels: side of a block in JPEG and MPEG
CALM = 2.0  # grey levels added to the local deviation, so that flat places aren't amplified
LEAST = 0.02  # added to a count before its logarithm is taken
_BRIGHTNESS = (0.299, 0.587, 0.114)
_COLOURS = ((0.5, -0.42, -0.08), (-0.17, -0.33, 0.5))
_HIGHEST_STEP = 16.0  # grey levels; a larger step is an edge in the scene


def build(size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """Return a model from pixels of 0 to 255, (n, H, W, 3) RGB, to the logarithms of all counts, (n, counts)."""
    picture = keras.Input((*size, 3), name="picture")
    kernel = np.array(_BRIGHTNESS, np.float32).reshape(1, 1, 3, 1)
    plane = split(picture, kernel, -128.0, "brightness")
    counts = [*_count_blocks(plane), _count_tints(picture)]
    for scale in SCALES:
        if scale > 1:
            plane = plane.halve(f"half{scale}")
        counts += [_count_differences(plane, scale), _count_locally(plane, scale)]
    together = layers.Concatenate(name="counts")(counts)
    return keras.Model(picture, ops.log(together + LEAST), name="statistics")


def _fill(height: int, width: int) -> Kernel:
    return np.full((height, width), 1 / (height * width), np.float32)


def _exceed(values: Any, thresholds: Sequence[Sequence[float]], name: str) -> Any:
    """Return by how much values ≥ 0, (n, h, w, channels), exceed their channel's thresholds on average: (n, all)."""
    kernel = np.zeros((1, 1, len(thresholds), sum(map(len, thresholds))), np.float32)
    at = 0
    for channel, own in enumerate(thresholds):
        kernel[0, 0, channel, at : at + len(own)] = 1
        at += len(own)
    above = convolve(values, kernel, name, bias=-np.concatenate([np.array(own, np.float32) for own in thresholds]))
    return ops.mean(ops.relu(above), axis=(1, 2))


def _count_differences(plane: Plane, scale: int) -> Any:
    """Return counts of differences of first and second order: along, across, and in both directions at once."""
    filters = []
    for kernel in (
        [[-1.0, 1.0]],
        [[0.5, -1.0, 0.5]],
        [[-0.5, 0.0, 0.0, 0.5]],
        [[1.0, -1.0], [-1.0, 1.0]],
        [[0.25, -0.5, 0.25], [-0.5, 1.0, -0.5], [0.25, -0.5, 0.25]],
    ):
        small = np.array(kernel, np.float32)
        turned = [small] if small.shape[0] == small.shape[1] else [small, small.T]
        for each in turned:
            whole = np.zeros((5, 5), np.float32)
            top, left = (5 - each.shape[0]) // 2, (5 - each.shape[1]) // 2
            whole[top : top + each.shape[0], left : left + each.shape[1]] = each
            filters.append(whole)
    found = plane.sample(stack(filters), f"differences{scale}")
    return _exceed(ops.abs(found), [THRESHOLDS] * len(filters), f"exceed{scale}")


def _count_locally(plane: Plane, scale: int) -> Any:
    """Return counts of local deviations, of brightness divided by them, and of its products with that of neighbours."""
    half = WINDOW // 2
    mean = _fill(WINDOW, WINDOW)
    kernels = [mean]
    for down, along in ((0, 0), (0, 1), (1, 0)):  # a pixel, its right and its lower neighbour, each minus the mean
        kernel = -mean
        kernel[half + down, half + along] += 1
        kernels.append(kernel)
    local = plane.sample(stack(kernels), f"local{scale}")
    square = plane.apply(ops.square).sample(stack([mean]), f"square{scale}")
    deviation = ops.sqrt(ops.relu(square - local[..., :1] * local[..., :1]) + 0.01)
    share = 1.0 / (deviation + CALM)
    centre, beside = local[..., 1:2] * share, local[..., 2:] * share
    # Compression leaves places with small differences for their deviation; rocks have large ones everywhere.
    between = plane.filter(stack([[[0.0, -0.5], [-0.5, 1.0]]]), f"between{scale}").apply(ops.abs)
    detail = between.sample(stack([_fill(WINDOW - 1, WINDOW - 1)]), f"detail{scale}") * share
    both = np.hstack([np.eye(2), -np.eye(2)]).astype(np.float32)[None, None]  # positive part and negative part
    products = convolve(centre * beside, both, f"products{scale}")
    counts = [
        _exceed(deviation, [SPREADS], f"spread{scale}"),
        _exceed(detail, [DETAILS], f"detailed{scale}"),
        _exceed(ops.abs(centre), [SHARES], f"share{scale}"),
        ops.mean(ops.relu(products), axis=(1, 2)),
        _exceed(detail * _sort_places(deviation, scale), [BAND_DETAILS] * (len(BANDS) + 1), f"among{scale}"),
    ]
    return layers.Concatenate(name=f"counts{scale}")(counts)


def _sort_places(deviation: Any, scale: int) -> Any:
    """Return each place's shares in the bands of local deviation, which add up to 1: (n, h, w, BANDS + 1).

    Noise adds detail where there was none, compression removes weak detail, and rocks have detail everywhere.
    """
    count = len(BANDS)
    rise = np.array(
        [[[[1 / begin for begin in BANDS]]]], np.float32
    )  # from 0 at the start of a band to 1 at twice that
    risen = convolve(deviation, rise, f"rising{scale}", bias=np.full(count, -1.0, np.float32))
    apart = np.eye(count, count + 1, k=1, dtype=np.float32) - np.eye(count, count + 1, dtype=np.float32)
    first = np.eye(1, count + 1, dtype=np.float32)[0]
    return convolve(ops.minimum(ops.relu(risen), 1.0), apart[None, None], f"bands{scale}", bias=first)


def _count_tints(picture: Any) -> Any:
    """Return counts of differences in the two colour channels, which show noise, but little of rocks and leaves."""
    kernel = np.zeros(
        (4, 4, 3, 4), np.float32
    )  # videos store colours at half the size, so these are means of 2×2 pixels
    for number, colour in enumerate(_COLOURS):
        weights = np.array(colour, np.float32) / 4
        kernel[:2, :2, :, number] = kernel[:2, :2, :, number + 2] = weights
        kernel[:2, 2:, :, number] = kernel[2:, :2, :, number + 2] = -weights
    return _exceed(ops.abs(convolve(picture, kernel, "tinted", stride=(2, 2))), [TINTS] * 4, "tinting")


def _count_blocks(plane: Plane) -> list[Any]:
    """Return counts of steps at every eighth column and row: the highest of the eight offsets and the mean of all."""
    counts: list[Any] = []
    difference, alone = np.array([[-1, 1]], np.float32), np.array([[-0.5, 1, -0.5]], np.float32)
    # A channel for each of the eight offsets, the mean of two pixels, because a split plane has both in one place.
    apart, stride = [np.full((2, 1), 0.5, np.float32) * row for row in np.eye(BLOCK, dtype=np.float32)], (1, BLOCK)
    for name in ("along", "across"):
        if name == "across":
            difference, alone, apart, stride = difference.T, alone.T, [row.T for row in apart], stride[::-1]
        step = plane.filter(stack([difference]), f"steps_{name}").apply(ops.abs)
        lone = step.filter(stack([alone]), f"lone_{name}").apply(ops.relu)
        lone = lone.apply(lambda found: ops.minimum(found, _HIGHEST_STEP))
        places = ops.mean(lone.sample(stack(apart), f"eighths_{name}", stride=stride), axis=(1, 2))
        highest, mean = ops.max(places, axis=1, keepdims=True), ops.mean(places, axis=1, keepdims=True)
        counts = [highest, mean, highest / (mean + 0.05), *counts]
    return counts
