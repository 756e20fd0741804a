"""Frames and masks validate their fields."""

import numpy as np
import pytest

from danmatte.frame import Frame, Mask, Size


def test_a_size_is_printed_as_width_by_height() -> None:
    assert str(Size(height=180, width=320)) == "320x180"
    assert Size(180, 320).pixels == 57_600


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        (np.zeros((4, 4), np.uint8), Size(4, 4)),
        (np.zeros((4, 4, 4), np.uint8), Size(4, 4)),
        (np.zeros((4, 4, 3), np.float32), Size(4, 4)),
        (np.zeros((4, 4, 3), np.uint8), Size(3, 4)),
        (np.zeros((0, 0, 3), np.uint8), Size(0, 0)),
    ],
)
def test_an_invalid_frame_is_rejected(pixels: np.ndarray, size: Size) -> None:
    with pytest.raises(ValueError, match="expected"):
        Frame(pixels, size)


@pytest.mark.parametrize(
    ("alpha", "coverage"),
    [
        (np.zeros((4, 4, 1), np.uint8), 0.0),
        (np.zeros((4, 4), np.float32), 0.0),
        (np.zeros((4, 4), np.uint8), 1.1),
        (np.zeros((4, 4), np.uint8), float("nan")),
    ],
)
def test_an_invalid_mask_is_rejected(alpha: np.ndarray, coverage: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        Mask(alpha, coverage)


def test_the_size_of_a_mask_is_that_of_its_alpha() -> None:
    assert Mask(np.zeros((180, 320), np.uint8), 0).size == Size(180, 320)
