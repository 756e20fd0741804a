"""The eight ways in which a display matrix has a picture turned and mirrored."""

from pathlib import Path

import numpy as np
import pytest

from danmatte.frame import Size
from danmatte.video.orientation import Orientation
from danmatte.video.reader import Video
from tests.service.tracks.videos import write

MATRICES = [
    (1, 0, 0, 1),
    (0, 1, -1, 0),
    (-1, 0, 0, -1),
    (0, -1, 1, 0),
    (-1, 0, 0, 1),
    (1, 0, 0, -1),
    (0, 1, 1, 0),
    (0, -1, -1, 0),
]
QUARTERS = np.kron([[40, 90], [150, 220]], np.ones((60, 100), np.uint8)).astype(np.uint8)  # each corner another grey


def store(shown: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """What has to be stored so that this matrix shows that: pixel by pixel, as ISO/IEC 14496-12 has it."""
    height, width = shown.shape if a else shown.shape[::-1]
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = a * columns + c * rows, b * columns + d * rows
    return np.ascontiguousarray(shown[y - y.min(), x - x.min()])


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_picture_is_seen_as_its_matrix_says(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    stored = store(QUARTERS, *matrix)
    with Video(write(tmp_path / "a.mp4", [stored] * 2, matrix=matrix)) as video:
        assert video.size == video.shown == QUARTERS.shape
        frame = next(video.read_frames())
    assert np.abs(frame.to_grey(video.size).astype(int) - QUARTERS).mean() < 6
    assert np.abs(frame.to_colours(video.size, "RGB").mean(2) - QUARTERS).mean() < 6
    assert frame.to_colours(Size(60, 40), "RGB").shape == (60, 40, 3)


def test_the_steps_to_an_upright_picture_have_names() -> None:
    assert Orientation().name_steps() == ()
    assert Orientation(True, False, True).name_steps() == ("transposed", "upended")
    assert Orientation(mirrored=True).name_steps() == ("mirrored",)


def test_a_size_turns_with_the_picture() -> None:
    assert Orientation().turn_size(Size(3, 4)) == Size(3, 4)
    assert Orientation(transposed=True).turn_size(Size(3, 4)) == Size(4, 3)
