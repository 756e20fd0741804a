"""Multi-scale structural similarity equals TensorFlow's."""

import cv2
import numpy as np
import pytest

from danmatte_workbench.training.quality.degradation import DEGRADATIONS, Picture
from danmatte_workbench.training.quality.likeness import SMALLEST_SIDE, compute_likeness


@pytest.mark.parametrize("kind", ["jpeg", "blur", "noise", "bands"])
@pytest.mark.parametrize("strength", [0.2, 0.8])
def test_likeness_equals_tensorflows_multiscale_ssim(kind: str, strength: float, scene: Picture) -> None:
    import tensorflow as tf

    worse = DEGRADATIONS[kind](scene, strength, np.random.default_rng(1))
    greys = [cv2.cvtColor(each, cv2.COLOR_RGB2GRAY)[None, ..., None].astype(np.float32) for each in (scene, worse)]
    expected = float(tf.image.ssim_multiscale(*greys, 255.0)[0])
    assert compute_likeness(scene, worse) == pytest.approx(expected, abs=2e-3)


def test_a_picture_has_likeness_1_with_itself(scene: Picture) -> None:
    assert compute_likeness(scene, scene) == pytest.approx(1, abs=1e-6)


def test_a_picture_too_small_for_five_scales_is_refused(scene: Picture) -> None:
    compute_likeness(scene[:SMALLEST_SIDE], scene[:SMALLEST_SIDE])
    with pytest.raises(ValueError, match="at least 176 pixels"):
        compute_likeness(scene[: SMALLEST_SIDE - 1], scene[: SMALLEST_SIDE - 1])
