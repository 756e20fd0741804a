"""Frames and masks validate their fields."""

import numpy as np
import pytest

from danmatte.frame import Frame, Mask, Size


def test_a_size_reads_as_people_write_it() -> None:
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
def test_a_wrong_frame_is_refused(pixels: np.ndarray, size: Size) -> None:
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
def test_a_wrong_mask_is_refused(alpha: np.ndarray, coverage: float) -> None:
    with pytest.raises(ValueError, match="expected"):
        Mask(alpha, coverage)


def test_a_mask_knows_its_size() -> None:
    assert Mask(np.zeros((180, 320), np.uint8), 0).size == Size(180, 320)
