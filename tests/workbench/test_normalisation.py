"""Normalisation of pixels."""

import numpy as np
import pytest

from danmatte_workbench.normalisation import Normalisation

MEAN, SCALE = (10.0, 20.0, 30.0), (2.0, 4.0, 8.0)


@pytest.mark.parametrize(("colour", "expected"), [("RGB", [45, 20, 5]), ("BGR", [30, 20, 8.75])])
def test_mean_and_scale_are_in_the_networks_order_of_colours(colour: str, expected: list[float]) -> None:
    picture = np.full((1, 2, 3, 3), (100, 100, 70), np.uint8)
    found = Normalisation(colour, MEAN, SCALE).apply(picture)
    assert (found.shape, found.dtype) == (picture.shape, np.float32)
    assert found[0, 1, 2].tolist() == expected


def test_normalising_does_not_change_the_given_picture() -> None:
    picture = np.zeros((1, 1, 1, 3), np.uint8)
    Normalisation("RGB", MEAN, SCALE).apply(picture)
    assert not picture.any()
