"""Each sign falls as its kind of damage increases."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from danmatte.quality.signs import Signs, find_signs, measure_blocks, measure_noise, measure_steps
from tests.service.quality.pictures import add_noise, compress, draw_scene


def ramp() -> np.ndarray:
    """Return a gradient from dark to bright, (H, W) uint8, in which banding is visible."""
    return np.tile(np.linspace(40, 200, 192).astype(np.uint8), (192, 1))


def band(picture: np.ndarray, levels: int) -> np.ndarray:
    step = 255 / (levels - 1)
    return (np.round(picture / step) * step).astype(np.uint8)


@pytest.mark.parametrize(
    ("sign", "picture", "damage", "degrees"),
    [
        ("sharpness", draw_scene(), lambda picture, sigma: cv2.GaussianBlur(picture, (0, 0), sigma), (0.7, 1.5, 3)),
        ("blocking", draw_scene(), compress, (60, 20, 6)),
        ("noise", draw_scene(), add_noise, (4, 10, 25)),
        ("banding", ramp(), band, (48, 32, 20)),
    ],
)
def test_a_sign_falls_as_its_damage_grows(
    sign: str, picture: np.ndarray, damage: Callable[[np.ndarray, float], np.ndarray], degrees: tuple[float, ...]
) -> None:
    values = [getattr(find_signs([each]), sign) for each in (picture, *(damage(picture, step) for step in degrees))]
    assert values == sorted(set(values), reverse=True)


@pytest.mark.parametrize("shift", range(0, 8, 3))
def test_blocking_is_found_at_any_offset_of_the_block_grid(shift: int) -> None:
    blocky, clean = (
        picture[:, shift : shift + 192] for picture in (compress(draw_scene(256, 256), 8), draw_scene(256, 256))
    )
    found, nothing = (measure_blocks(measure_steps(picture)) for picture in (blocky, clean))
    assert found > 3 * nothing


@pytest.mark.parametrize("sigma", [3.0, 8.0, 20.0])
def test_noise_is_measured_in_grey_levels(sigma: float) -> None:
    flat = np.full((192, 192), 120, np.uint8)
    assert measure_noise(add_noise(flat, sigma)) == pytest.approx(sigma, rel=0.25)


def test_the_signs_of_a_frame_are_the_means_over_its_patches() -> None:
    one, other = draw_scene(), cv2.GaussianBlur(draw_scene(), (0, 0), 3)
    apart = [find_signs([one]), find_signs([other])]
    together = find_signs([one, other])
    assert together == pytest.approx(Signs(*np.mean(apart, axis=0)), abs=0.11)


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("size", [(32, 32), (192, 192)])
def test_a_plain_picture_has_signs_in_their_range(value: int, size: tuple[int, int]) -> None:
    assert all(0 <= sign <= 100 for sign in find_signs([np.full(size, value, np.uint8)]))
