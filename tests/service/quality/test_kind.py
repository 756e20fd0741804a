"""The kind of a shot, by flat colour and movement."""

import cv2
import numpy as np
import pytest

from danmatte.quality.kind import Kind, Look, Movement, choose_kind, measure_look
from tests.service.quality.pictures import add_noise, compress, draw_cartoon, draw_scene, draw_slide

STANDING, TYPING, MOVING = Movement(0.0, 0.0), Movement(0.4, 0.01), Movement(4.0, 0.3)


def look(picture: np.ndarray) -> Look:
    return measure_look([picture], cv2.resize(picture, (96, 96), interpolation=cv2.INTER_AREA))


@pytest.mark.parametrize(
    ("picture", "movement", "expected"),
    [
        (draw_scene(), MOVING, "camera"),
        (add_noise(draw_scene(), 6), MOVING, "camera"),
        (draw_scene(), STANDING, "still"),
        (draw_cartoon(), MOVING, "animation"),
        (draw_slide(), STANDING, "slides"),
        (draw_slide(), TYPING, "screen"),
    ],
)
def test_the_kind_of_a_shot_follows_its_look_and_movement(
    picture: np.ndarray, movement: Movement, expected: Kind
) -> None:
    assert choose_kind([look(picture)] * 3, movement, 4000) == expected


@pytest.mark.parametrize("quality", [60, 25])
def test_a_camera_shot_is_recognized_despite_compression(quality: int) -> None:
    assert choose_kind([look(compress(draw_scene(), quality))], MOVING, 4000) == "camera"


def test_a_short_motionless_shot_is_not_classified_as_a_still() -> None:
    assert choose_kind([look(draw_scene())], STANDING, 800) == "camera"


def test_one_unusual_frame_does_not_change_the_kind() -> None:
    looks = [look(draw_scene())] * 4 + [look(np.full((192, 192), 128, np.uint8))]
    assert choose_kind(looks, MOVING, 4000) == "camera"


def test_the_look_of_a_picture_one_pixel_wide_can_be_measured() -> None:
    """A film of 16x4000 is scaled down to a picture with one column or row."""
    column = np.arange(100, dtype=np.uint8)[:, np.newaxis]
    assert measure_look([column], column).flat == 0
    assert measure_look([column.T], column.T).flat == 0
