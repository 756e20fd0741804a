"""One channel of a picture for fixed convolutions, stored with four pixels per place where that is faster."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

Kernel = npt.NDArray[np.float32]  # (height, width, channels in, channels out)

_PIXELS = ((0, 0), (0, 1), (1, 0), (1, 1))  # of a place of a split plane, down and along


class Plane(NamedTuple):
    """A channel of n pictures: (n, h, w, 1) or, if split, (n, h / 2, w / 2, 4), with 2×2 pixels as channels of a place.

    CPUs compute a convolution of four channels much faster than one of a single channel at four times as many places.
    """

    values: Any
    split: bool

    def sample(self, kernel: Kernel, name: str, *, stride: tuple[int, int] = (1, 1)) -> Any:
        """Return the convolution by ``kernel``, from one channel to any number, at each place.

        In a split plane, that is at the first pixel of each place. ``stride`` is in pixels down and along, and even
        unless it is 1.
        """
        if not self.split:
            return convolve(self.values, kernel, name, stride=stride)
        down, along = (max(1, step // 2) for step in stride)
        return convolve(self.values, _fold(kernel), name, stride=(down, along))

    def filter(self, kernel: Kernel, name: str) -> "Plane":
        """Return the convolution by ``kernel``, from one channel to one, at every pixel; split if this plane is."""
        if not self.split:
            return Plane(convolve(self.values, kernel, name), split=False)
        height, width = kernel.shape[:2]
        moved = np.zeros((height + 1, width + 1, 1, len(_PIXELS)), np.float32)
        for number, (down, along) in enumerate(_PIXELS):
            moved[down : down + height, along : along + width, :, number] = kernel[..., 0]
        return Plane(convolve(self.values, _fold(moved), name), split=True)

    def apply(self, change: Callable[[Any], Any]) -> "Plane":
        """Return a plane with ``change`` applied to every value."""
        return Plane(change(self.values), self.split)

    def halve(self, name: str) -> "Plane":
        """Return a plane of the means of 2×2 pixels, not split."""
        return Plane(self.sample(np.full((2, 2, 1, 1), 0.25, np.float32), name, stride=(2, 2)), split=False)


def split(pictures: Any, weights: Kernel, level: float, name: str) -> Plane:
    """Return a split plane of pictures, (n, H, W, channels): the sum of channels by ``weights``, plus ``level``.

    ``weights`` have the shape (1, 1, channels, 1).
    """
    kernel = np.zeros((2, 2, weights.shape[2], len(_PIXELS)), np.float32)
    for number, (down, along) in enumerate(_PIXELS):
        kernel[down, along, :, number] = weights[0, 0, :, 0]
    bias = np.full(len(_PIXELS), level, np.float32)
    return Plane(convolve(pictures, kernel, name, stride=(2, 2), bias=bias), split=True)


def convolve(
    values: Any, kernel: Kernel, name: str, *, stride: tuple[int, int] = (1, 1), bias: Kernel | None = None
) -> Any:
    """Return the convolution of ``values`` by a fixed kernel."""
    height, width, _, count = kernel.shape
    layer = layers.Conv2D(count, (height, width), strides=stride, use_bias=bias is not None, name=name)
    layer.kernel_initializer = keras.initializers.Constant(kernel)
    if bias is not None:
        layer.bias_initializer = keras.initializers.Constant(bias)
    layer.trainable = False
    return layer(values)


def stack(kernels: Sequence[Any]) -> Kernel:
    """Return kernels of one size for a single channel as the weights of one convolution."""
    return np.stack([np.asarray(kernel, np.float32) for kernel in kernels], axis=-1)[:, :, None, :]


def _fold(kernel: Kernel) -> Kernel:
    """Return a kernel for one channel as a kernel for the four channels of a split plane."""
    height, width, _, count = kernel.shape
    whole = np.pad(kernel[:, :, 0], ((0, height % 2), (0, width % 2), (0, 0)))
    parts = whole.reshape(whole.shape[0] // 2, 2, whole.shape[1] // 2, 2, count).transpose(0, 2, 1, 3, 4)
    return parts.reshape(*parts.shape[:2], len(_PIXELS), count)
