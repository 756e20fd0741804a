"""Convolutions of a split plane give the results of a plain one, at a quarter of the places."""

import cv2
import numpy as np
import pytest
from keras import ops

from danmatte_workbench.training.quality.degradation import Picture
from danmatte_workbench.training.quality.plane import Plane, split, stack

WEIGHTS = np.array((0.3, 0.6, 0.1), np.float32).reshape(1, 1, 3, 1)
KERNEL = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)


def split_and_plain(scene: Picture) -> tuple[Plane, Plane]:
    """Return the same brightness as a split and as a plain plane."""
    pictures = scene[None].astype(np.float32)
    return split(pictures, WEIGHTS, -10.0, "split"), Plane(pictures @ WEIGHTS[0, 0] - 10.0, split=False)


def list_values(plane: Plane) -> np.ndarray:
    """Return the pixels of a plane of one picture, (h, w)."""
    values = ops.convert_to_numpy(plane.values)[0]
    if not plane.split:
        return np.asarray(values[..., 0])
    height, width, _ = values.shape
    return np.asarray(values.reshape(height, width, 2, 2).transpose(0, 2, 1, 3).reshape(2 * height, 2 * width))


def test_a_split_plane_has_the_pixels_of_a_plain_one(scene: Picture) -> None:
    both = [list_values(plane) for plane in split_and_plain(scene)]
    np.testing.assert_allclose(*both, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (1, 3), (3, 1), (2, 2), (3, 5), (6, 6), (7, 7)])
def test_filtering_a_split_plane_gives_the_result_of_a_plain_one(shape: tuple[int, int], scene: Picture) -> None:
    kernel = stack([cv2.resize(KERNEL, shape[::-1])])
    folded, plain = (list_values(plane.filter(kernel, "found")) for plane in split_and_plain(scene))
    assert all(0 <= more - less <= 1 for more, less in zip(plain.shape, folded.shape, strict=True))
    np.testing.assert_allclose(folded, plain[: folded.shape[0], : folded.shape[1]], atol=1e-3)


@pytest.mark.parametrize("stride", [(1, 1), (1, 8), (8, 1), (2, 2)])
def test_sampling_a_split_plane_gives_every_second_pixel(stride: tuple[int, int], scene: Picture) -> None:
    kernels = stack([KERNEL, KERNEL[::-1]])
    folded, plain = split_and_plain(scene)
    found = ops.convert_to_numpy(folded.sample(kernels, "found", stride=stride))[0]
    every = ops.convert_to_numpy(plain.sample(kernels, "found"))[0]
    wanted = every[:: max(2, stride[0]), :: max(2, stride[1])]
    np.testing.assert_allclose(found, wanted[: found.shape[0], : found.shape[1]], atol=1e-3)


def test_halving_averages_four_pixels(scene: Picture) -> None:
    folded, plain = (list_values(plane.halve("half")) for plane in split_and_plain(scene))
    grey = list_values(split_and_plain(scene)[1])
    np.testing.assert_allclose(folded, cv2.resize(grey, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), atol=1e-3)
    np.testing.assert_allclose(folded, plain, atol=1e-3)
