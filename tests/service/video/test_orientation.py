"""The eight combinations of turning and mirroring in a display matrix."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

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
QUARTERS = np.kron([[40, 90], [150, 220]], np.ones((60, 100), np.uint8)).astype(np.uint8)  # four greys


def store(shown: np.ndarray, a: int, b: int, c: int, d: int) -> np.ndarray:
    """Return the picture to store so that this matrix shows `shown`, pixel by pixel after ISO/IEC 14496-12."""
    height, width = shown.shape if a else shown.shape[::-1]
    rows, columns = np.mgrid[0:height, 0:width]
    x, y = a * columns + c * rows, b * columns + d * rows
    return np.ascontiguousarray(shown[y - y.min(), x - x.min()])


@pytest.mark.parametrize("matrix", MATRICES)
def test_a_picture_is_oriented_by_its_display_matrix(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    stored = store(QUARTERS, *matrix)
    with Video(write(tmp_path / "a.mp4", [stored] * 2, matrix=matrix)) as video:
        assert video.size == video.shown == QUARTERS.shape
        frame = next(video.read_frames())
    assert np.abs(frame.to_grey(video.size).astype(int) - QUARTERS).mean() < 6
    assert np.abs(frame.to_colours(video.size, "RGB").mean(2) - QUARTERS).mean() < 6
    assert frame.to_colours(Size(60, 40), "RGB").shape == (60, 40, 3)


@pytest.mark.parametrize("rotation", [0, 90])
def test_the_orientation_stated_inside_h264_is_ignored(tmp_path: Path, rotation: int) -> None:
    """Chromium and Firefox use only the orientation in the container."""
    raw, tagged = write(tmp_path / "a.h264", [QUARTERS] * 2), tmp_path / "b.mp4"
    plain = write(tmp_path / "a.mp4", [QUARTERS] * 2, rotation=rotation)
    with av.open(str(raw)) as source, av.open(str(tagged), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        stream.set_display_rotation(rotation)
        insert = BitStreamFilterContext("h264_metadata=rotate=180:display_orientation=insert", source.streams.video[0])
        packets = [changed for packet in source.demux(video=0) for changed in insert.filter(packet)]
        for number, packet in enumerate(packets):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            target.mux(packet)
    with Video(plain) as expected, Video(tagged) as video:
        assert (video.size, video.orientation) == (expected.size, expected.orientation)
        frame, other = next(video.read_frames()), next(expected.read_frames())
        assert np.array_equal(frame.to_grey(video.size), other.to_grey(video.size))


def test_an_orientation_is_described_by_named_steps() -> None:
    assert Orientation().name_steps() == ()
    assert Orientation(True, False, True).name_steps() == ("transposed", "upended")
    assert Orientation(mirrored=True).name_steps() == ("mirrored",)


@pytest.mark.parametrize("matrix", MATRICES)
def test_sides_of_the_upright_picture_are_mapped_to_the_stored_one(
    tmp_path: Path, matrix: tuple[int, int, int, int]
) -> None:
    shown = np.zeros((120, 200), np.uint8)
    shown[:20], shown[-30:], shown[:, :40], shown[:, -50:] = 50, 100, 150, 200
    stored = store(shown, *matrix)
    rows, columns = stored.shape[0] // 2, stored.shape[1] // 2
    with Video(write(tmp_path / "a.mp4", [stored] * 2, matrix=matrix)) as video:
        sides = video.orientation.turn_sides_back((50, 100, 150, 200))
    assert sides == (stored[0, columns], stored[-1, columns], stored[rows, 0], stored[rows, -1])


def test_a_size_is_transposed_with_the_picture() -> None:
    assert Orientation().turn_size(Size(3, 4)) == Size(3, 4)
    assert Orientation(transposed=True).turn_size(Size(3, 4)) == Size(4, 3)
