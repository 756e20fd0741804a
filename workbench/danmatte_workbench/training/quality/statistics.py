"""The fixed half of the quality network: what it counts in a picture, at any size, before anything is learned.

Damage shows in how often neighbouring pixels differ by how much (Mittal et al., IEEE TIP 2012, for brightness that is
divided by its local contrast): blur takes the large differences away, noise the small ones, bands leave many zeros and
few steps, and blocks put steps where eight divides. Counts are means over the whole picture, so that a picture's are
those of its parts together.

All of it is convolutions and means: pooling of a single channel, and its many slices, took two thirds of the time. At
full size local counts are of every second place along and across, which are the same ones for a quarter of the work.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from danmatte_workbench.training.quality.plane import Kernel, Plane, convolve, split, stack

SCALES = (1, 2, 4)  # pixels that are averaged to one
THRESHOLDS = (0.0, 0.7, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0)  # grey levels
SPREADS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # grey levels of local deviation
DETAILS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)  # of the local deviation that is between neighbours
TINTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # grey levels between neighbours of a colour
BANDS = (1.0, 2.0, 4.0, 8.0, 16.0)  # grey levels of local deviation that separate weak detail from strong
BAND_DETAILS = (0.0, 0.1, 0.2, 0.35)  # of the local deviation, as DETAILS
SHARES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5)  # of the local deviation
WINDOW = 7  # pixels; what is local
BLOCK = 8  # pixels of a block's side in JPEG and MPEG
CALM = 2.0  # grey levels added to the local deviation: flat places stay flat
LEAST = 0.02  # added to a count before its logarithm is taken
_BRIGHTNESS = (0.299, 0.587, 0.114)
_COLOURS = ((0.5, -0.42, -0.08), (-0.17, -0.33, 0.5))
_HIGHEST_STEP = 16.0  # grey levels: a larger one is an edge of what is shown


def build(size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """From pixels of 0 to 255, (n, H, W, 3) RGB, to the logarithms of all counts, (n, counts)."""
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
    """By how much (n, h, w, channels) values, 0 or more, exceed each channel's thresholds on average: (n, all)."""
    kernel = np.zeros((1, 1, len(thresholds), sum(map(len, thresholds))), np.float32)
    at = 0
    for channel, own in enumerate(thresholds):
        kernel[0, 0, channel, at : at + len(own)] = 1
        at += len(own)
    above = convolve(values, kernel, name, bias=-np.concatenate([np.array(own, np.float32) for own in thresholds]))
    return ops.mean(ops.relu(above), axis=(1, 2))


def _count_differences(plane: Plane, scale: int) -> Any:
    """Differences along and across, of first and second order, and what is left without smooth parts."""
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
    """Local deviations; brightness divided by them; and its products with its neighbours'."""
    half = WINDOW // 2
    mean = _fill(WINDOW, WINDOW)
    kernels = [mean]
    for down, along in ((0, 0), (0, 1), (1, 0)):  # a pixel, the next one, and that below, without the mean
        kernel = -mean
        kernel[half + down, half + along] += 1
        kernels.append(kernel)
    local = plane.sample(stack(kernels), f"local{scale}")
    square = plane.apply(ops.square).sample(stack([mean]), f"square{scale}")
    deviation = ops.sqrt(ops.relu(square - local[..., :1] * local[..., :1]) + 0.01)
    share = 1.0 / (deviation + CALM)
    centre, beside = local[..., 1:2] * share, local[..., 2:] * share
    # What compression smooths has little between neighbours for its deviation in places; rocks have much everywhere.
    between = plane.filter(stack([[[0.0, -0.5], [-0.5, 1.0]]]), f"between{scale}").apply(ops.abs)
    detail = between.sample(stack([_fill(WINDOW - 1, WINDOW - 1)]), f"detail{scale}") * share
    both = np.hstack([np.eye(2), -np.eye(2)]).astype(np.float32)[None, None]  # above 0, and below
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
    """To which band of local deviations each place belongs, as shares that add up to 1: (n, h, w, BANDS + 1).

    Noise puts detail where there was none, compression takes it away where it was weak, and rocks have it everywhere.
    """
    count = len(BANDS)
    rise = np.array([[[[1 / begin for begin in BANDS]]]], np.float32)  # from 0 where a band begins to 1 at the double
    risen = convolve(deviation, rise, f"rising{scale}", bias=np.full(count, -1.0, np.float32))
    apart = np.eye(count, count + 1, k=1, dtype=np.float32) - np.eye(count, count + 1, dtype=np.float32)
    first = np.eye(1, count + 1, dtype=np.float32)[0]
    return convolve(ops.minimum(ops.relu(risen), 1.0), apart[None, None], f"bands{scale}", bias=first)


def _count_tints(picture: Any) -> Any:
    """Differences between neighbours in the two colours: noise is in them, too, where rocks and leaves have little."""
    kernel = np.zeros((4, 4, 3, 4), np.float32)  # colours are stored at half the size: means of two by two pixels
    for number, colour in enumerate(_COLOURS):
        weights = np.array(colour, np.float32) / 4
        kernel[:2, :2, :, number] = kernel[:2, :2, :, number + 2] = weights
        kernel[:2, 2:, :, number] = kernel[2:, :2, :, number + 2] = -weights
    return _exceed(ops.abs(convolve(picture, kernel, "tinted", stride=(2, 2))), [TINTS] * 4, "tinting")


def _count_blocks(plane: Plane) -> list[Any]:
    """Steps at every eighth column and row: the highest of the eight places and the mean of all, wherever they are."""
    counts: list[Any] = []
    difference, alone = np.array([[-1, 1]], np.float32), np.array([[-0.5, 1, -0.5]], np.float32)
    # A channel for each of the eight. Each is the mean of two pixels, since a split plane has both in one place.
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
