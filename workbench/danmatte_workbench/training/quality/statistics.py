"""The fixed half of the quality network: what it counts in a picture, at any size, before anything is learned.

Damage shows in how often neighbouring pixels differ by how much (Mittal et al., IEEE TIP 2012, for brightness that is
divided by its local contrast): blur takes the large differences away, noise the small ones, bands leave many zeros and
few steps, and blocks put steps where eight divides. Counts are means over the whole picture, so that a picture's are
those of its parts together.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

SCALES = (1, 2, 4)  # pixels that are averaged to one
THRESHOLDS = (0.0, 0.7, 1.5, 3.0, 6.0, 12.0, 24.0, 48.0)  # grey levels
SPREADS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # grey levels of local deviation
DETAILS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)  # of the local deviation that is between neighbours
TINTS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # grey levels between neighbours of a colour
SHARES = (0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5)  # of the local deviation
WINDOW = 7  # pixels; what is local
BLOCK = 8  # pixels of a block's side in JPEG and MPEG
CALM = 2.0  # grey levels added to the local deviation: flat places stay flat
LEAST = 0.02  # added to a count before its logarithm is taken
_BRIGHTNESS = (0.299, 0.587, 0.114)


def _list_filters() -> np.ndarray:
    """(5, 5, 1, 8): differences along and across, of first and second order, and what is left without smooth parts."""
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
    return np.stack(filters, axis=-1)[:, :, None, :]


def build(size: tuple[int | None, int | None] = (None, None)) -> keras.Model:
    """From pixels of 0 to 255, (n, H, W, 3) RGB, to the logarithms of all counts, (n, counts)."""
    picture = keras.Input((*size, 3), name="picture")
    kernel = np.array(_BRIGHTNESS, np.float32).reshape(1, 1, 3, 1)
    grey = _fix(layers.Conv2D(1, 1, name="brightness"), kernel, np.array([-128.0], np.float32))(picture)
    counts = [*_count_blocks(grey), _count_tints(picture)]
    for scale in SCALES:
        plane = grey if scale == 1 else layers.AveragePooling2D(scale, name=f"half{scale}")(grey)
        counts += [_count_differences(plane, scale), *_count_locally(plane, scale)]
    together = layers.Concatenate(name="counts")(counts)
    return keras.Model(picture, ops.log(together + LEAST), name="statistics")


def _fix(layer: layers.Layer, kernel: np.ndarray, bias: np.ndarray | None = None) -> layers.Layer:
    """The layer with weights that stay."""
    layer.kernel_initializer = keras.initializers.Constant(kernel)
    if bias is not None:
        layer.bias_initializer = keras.initializers.Constant(bias)
    layer.trainable = False
    return layer


def _exceed(values: Any, thresholds: tuple[float, ...], name: str) -> Any:
    """By how much (n, h, w, c) values, 0 or more, exceed each threshold on average: (n, c × thresholds)."""
    channels = values.shape[-1]
    kernel = np.kron(np.eye(channels, dtype=np.float32), np.ones((1, len(thresholds)), np.float32))[None, None]
    bias = -np.tile(np.array(thresholds, np.float32), channels)
    above = _fix(layers.Conv2D(bias.size, 1, activation="relu", name=name), kernel, bias)(values)
    return ops.mean(above, axis=(1, 2))


def _count_differences(plane: Any, scale: int) -> Any:
    filters = _list_filters()
    # Of every second place at full size: the counts are the same ones, for a quarter of the work.
    stride = 2 if scale == 1 else 1
    conv = layers.Conv2D(filters.shape[-1], 5, strides=stride, use_bias=False, name=f"differences{scale}")
    return _exceed(ops.abs(_fix(conv, filters)(plane)), THRESHOLDS, f"exceed{scale}")


def _count_locally(plane: Any, scale: int) -> list[Any]:
    """Local deviations; brightness divided by them; and its products with its neighbours'."""
    stride = 2 if scale == 1 else 1
    half = WINDOW // 2
    mean = layers.AveragePooling2D(WINDOW, strides=stride, name=f"mean{scale}")(plane)
    square = layers.AveragePooling2D(WINDOW, strides=stride, name=f"square{scale}")(plane * plane)
    deviation = ops.sqrt(ops.relu(square - mean * mean) + 0.01)
    share = 1.0 / (deviation + CALM)
    centre = (plane[:, half:-half:stride, half:-half:stride] - mean) * share
    right = (plane[:, half:-half:stride, half + 1 : 1 - half : stride] - mean) * share
    below = (plane[:, half + 1 : 1 - half : stride, half:-half:stride] - mean) * share
    products = layers.Concatenate(name=f"products{scale}")([centre * right, centre * below])
    signs = [ops.mean(ops.relu(sign * products), axis=(1, 2)) for sign in (1.0, -1.0)]
    # What compression smooths has little between neighbours for its deviation in places; rocks have much everywhere.
    between = ops.abs(plane[:, 1:, 1:] - 0.5 * (plane[:, :-1, 1:] + plane[:, 1:, :-1]))
    detail = layers.AveragePooling2D(WINDOW - 1, strides=stride, name=f"detail{scale}")(between) * share
    return [
        _exceed(deviation, SPREADS, f"spread{scale}"),
        _exceed(detail, DETAILS, f"details{scale}"),
        _exceed(ops.abs(centre), SHARES, f"share{scale}"),
        *signs,
    ]


def _count_tints(picture: Any) -> Any:
    """Differences between neighbours in the two colours: noise is in them, too, where rocks and leaves have little."""
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    for number, (red, green, blue) in enumerate(((0.5, -0.42, -0.08), (-0.17, -0.33, 0.5))):
        kernel[1, 1, :, number] = kernel[1, 1, :, number + 2] = (red, green, blue)
        kernel[1, 2, :, number] = kernel[2, 1, :, number + 2] = (-red, -green, -blue)
    halved = layers.AveragePooling2D(2, name="tints")(picture)  # colours are stored at half the size
    differences = _fix(layers.Conv2D(4, 3, use_bias=False, name="tinted"), kernel)(halved)
    return _exceed(ops.abs(differences), TINTS, "tinting")


def _count_blocks(grey: Any) -> list[Any]:
    """Steps at every eighth column and row: the highest of the eight places and the mean of all, wherever they are."""
    counts = []
    for axis in (1, 2):
        before, after = (grey[:, :-1], grey[:, 1:]) if axis == 1 else (grey[:, :, :-1], grey[:, :, 1:])
        step = ops.abs(after - before)
        parts = (
            (step[:, :-2], step[:, 1:-1], step[:, 2:])
            if axis == 1
            else (
                step[:, :, :-2],
                step[:, :, 1:-1],
                step[:, :, 2:],
            )
        )
        alone = ops.minimum(ops.relu(parts[1] - 0.5 * (parts[0] + parts[2])), 16.0)
        profile = ops.mean(alone, axis=3 - axis)  # (n, places, 1)
        places = ops.concatenate([ops.mean(profile[:, at::BLOCK], axis=1) for at in range(BLOCK)], axis=1)
        highest, mean = ops.max(places, axis=1, keepdims=True), ops.mean(places, axis=1, keepdims=True)
        counts += [highest, mean, highest / (mean + 0.05)]
    return counts
