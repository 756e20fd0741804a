"""Training: its initial weights, and resuming of a killed run."""

from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from danmatte_workbench.runtimes import tflite
from danmatte_workbench.training.deeplab import architecture, fit, initialise
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT
from danmatte_workbench.training.deeplab.fit import Stage, run_stage
from tests.real.shared import OFFICIAL, frames, needed
from tests.workbench import tiny


@pytest.fixture(scope="module")
def weights() -> dict[str, initialise.Weights]:
    return initialise.dequantize(tflite.read_tensors(needed(OFFICIAL)))


@pytest.mark.slow
@pytest.mark.data
def test_the_float_network_agrees_with_the_official_one(weights: dict[str, initialise.Weights]) -> None:
    official = tf.lite.Interpreter(str(needed(OFFICIAL)), num_threads=1)
    official.allocate_tensors()
    (given,), (answer,) = official.get_input_details(), official.get_output_details()
    floats = initialise.build_official(weights)
    agreeing, people = [], 0.0
    for picture in frames(8):
        official.set_tensor(given["index"], picture)
        official.invoke()
        theirs = official.get_tensor(answer["index"]).reshape(513, 513) == initialise.VOC_PERSON
        logits = floats(picture.astype(np.float32) / 127.5 - 1)
        large = tf.compat.v1.image.resize_bilinear(logits, (513, 513), align_corners=True)
        ours = tf.argmax(large, axis=3).numpy()[0] == initialise.VOC_PERSON
        agreeing.append((theirs == ours).mean())
        people += theirs.mean()
    assert np.mean(agreeing) >= 0.99
    assert people > 0.5


@pytest.mark.slow
@pytest.mark.data
def test_the_new_network_starts_with_all_weights_of_the_official_backbone(
    weights: dict[str, initialise.Weights],
) -> None:
    fresh = initialise.start_from(architecture.build((33, 33)), weights)
    assert fresh
    assert not any(name.startswith("MobilenetV2") for name in fresh)


class RedPeople:
    """Scenes of red people; from a given draw on, the power is cut."""

    def __init__(self, cut_after: int | None = None) -> None:
        self.draws, self.cut_after = 0, cut_after

    def draw(self, side: int, lean: float, whole: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        self.draws += 1
        if self.cut_after is not None and self.draws > self.cut_after:
            raise PowerCutError
        pixels, truth = tiny.scene(int(rng.integers(1000)), 48, 48)
        pixels, truth = cv2.resize(pixels, (side, side)), cv2.resize(truth, (side, side))
        return pixels, np.dstack([truth, np.full_like(truth, FULL_WEIGHT)])


class PowerCutError(Exception):
    """The machine goes dark."""


STAGE = Stage("short", side=33, batch=2, steps=106, peak=1e-3)


@pytest.mark.slow
def test_an_interrupted_training_resumes_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints are written every 100 steps: the power fails at step 103, and 100 to 103 are done again."""
    monkeypatch.setattr(fit, "WARM_UP", 10)
    keras.utils.set_random_seed(1)
    start = architecture.build((33, 33)).get_weights()
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = run_stage(STAGE, start, ["logits-semantic"], RedPeople(), tmp_path / "whole", seed=1)
    with pytest.raises(PowerCutError):
        run_stage(STAGE, start, ["logits-semantic"], RedPeople(2 * 103), tmp_path / "cut", seed=1)
    scenes = RedPeople()
    resumed = run_stage(STAGE, start, ["logits-semantic"], scenes, tmp_path / "cut", seed=1)
    assert scenes.draws < 2 * 20
    moved = max(float(np.abs(now - then).max()) for now, then in zip(whole, start, strict=True))
    apart = max(float(np.abs(one - other).max()) for one, other in zip(whole, resumed, strict=True))
    assert moved > 1e-2
    assert apart < 1e-2 * moved


@pytest.mark.slow
def test_a_finished_stage_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit, "WARM_UP", 1)
    stage = Stage("done", side=17, batch=1, steps=3, peak=1e-3)
    start = architecture.build((17, 17)).get_weights()
    first = run_stage(stage, start, [], RedPeople(), tmp_path, seed=1)
    again = run_stage(stage, start, [], RedPeople(cut_after=0), tmp_path, seed=1)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
