"""The places of patches, and their weights."""

import numpy as np
import pytest

from danmatte.frame import Size
from danmatte.quality.brightness import NO_BARS, Bars
from danmatte.quality.patches import SIDE, mean_score, place_patches, weigh_patches
from tests.service.quality.pictures import draw_scene


@pytest.mark.parametrize("size", [Size(720, 1280), Size(1280, 720), Size(432, 768), Size(193, 641), Size(180, 320)])
@pytest.mark.parametrize("bars", [NO_BARS, Bars(0.12, 0.12, 0, 0), Bars(0, 0, 0.2, 0.2)])
def test_patches_lie_inside_the_picture_and_outside_its_bars(size: Size, bars: Bars) -> None:
    places = place_patches(size, bars)
    assert places
    for place in places:
        assert not any(value % 2 for value in place)
        assert int(size.height * bars.top) - 2 < place.top
        assert place.top + place.height <= size.height - int(size.height * bars.bottom)
        assert int(size.width * bars.left) - 2 < place.left
        assert place.left + place.width <= size.width - int(size.width * bars.right)
        assert max(place.height, place.width) <= SIDE


def test_a_large_picture_has_five_patches_and_a_small_one_is_one_patch() -> None:
    assert len(place_patches(Size(720, 1280), NO_BARS)) == 5
    assert place_patches(Size(100, 150), NO_BARS) == [(0, 0, 100, 150)]
    assert place_patches(Size(16, 150), NO_BARS) == []


def test_a_patch_without_detail_has_little_weight() -> None:
    weights = weigh_patches([draw_scene(), np.full((192, 192), 200, np.uint8)])
    assert weights[0] == 1
    assert weights[1] < 0.1
    assert mean_score([40.0, 95.0], weights) == pytest.approx(42.6, abs=0.1)
