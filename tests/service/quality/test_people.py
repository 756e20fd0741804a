"""People's share and the shot's scale, measured in a mask."""

import numpy as np
import pytest

from danmatte.quality.people import Scale, measure_people


def stand(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Return a mask of 180 by 320 with a person in these rows and columns."""
    mask = np.zeros((180, 320), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize(
    ("mask", "scale"),
    [
        (stand(0, 0, 0, 0), "none"),
        (stand(90, 96, 100, 103), "none"),
        (stand(80, 120, 100, 112), "wide"),
        (stand(30, 170, 100, 140), "full"),
        (stand(40, 180, 100, 180), "medium"),
        (stand(10, 180, 150, 170), "medium"),
        (stand(20, 180, 60, 260), "close"),
    ],
)
def test_the_shot_scale_follows_the_height_and_lower_edge_of_a_person(mask: np.ndarray, scale: Scale) -> None:
    found = measure_people(mask)
    assert found.scale == scale
    assert found.share == pytest.approx(mask.mean(), abs=1e-4)
