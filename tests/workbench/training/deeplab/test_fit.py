"""Training steps don't depend on interruptions, and ignored pixels don't affect the loss."""

import itertools
import threading
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from danmatte_workbench.training.deeplab import architecture, course, fit
from danmatte_workbench.training.deeplab.augment import FULL_WEIGHT
from danmatte_workbench.training.deeplab.fit import Checkpoint, Stage, matte_loss, views

STAGE = Stage("tiny", side=17, batch=2, steps=6, peak=1e-3)


class Noise:
    """Scenes of noise that depend only on the generator; records the threads that draw them."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def draw(self, side: int, lean: float, whole: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        self.threads.add(threading.get_ident())
        pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        return pixels, rng.integers(0, 256, (side, side, 2), dtype=np.uint8)


def batches(start: int, seed: int = 1) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(views(Noise(), STAGE, seed, start))


def test_every_step_has_a_normalised_batch() -> None:
    found = batches(0)
    assert len(found) == STAGE.steps
    assert {pixels.shape for pixels, _ in found} == {(2, 17, 17, 3)}
    assert min(pixels.min() for pixels, _ in found) >= -1
    assert max(pixels.max() for pixels, _ in found) <= 1


@pytest.mark.parametrize("start", [1, 4, 6])
def test_a_resumed_run_sees_the_same_batches(start: int) -> None:
    for resumed, whole in zip(batches(start), batches(0)[start:], strict=True):
        for now, then in zip(resumed, whole, strict=True):
            assert np.array_equal(now, then)


def test_batches_differ_between_steps_and_seeds() -> None:
    found = [pixels for pixels, _ in batches(0, seed=1) + batches(0, seed=2)]
    assert not any(np.array_equal(a, b) for a, b in itertools.combinations(found, 2))


def test_batches_are_made_on_a_different_thread() -> None:
    noise = Noise()
    next(views(noise, STAGE, 1, 0))
    assert threading.get_ident() not in noise.threads


# The loss


def loss(target: np.ndarray, weight: np.ndarray, margin: np.ndarray) -> float:
    logits = np.stack([np.zeros_like(margin), margin], axis=-1).astype(np.float32)
    return float(matte_loss(np.stack([target, weight], axis=-1).astype(np.float32), logits))


@pytest.fixture
def target() -> np.ndarray:
    target = np.zeros((1, 20, 20))
    target[0, 5:15, 5:15] = 255
    return target


def test_a_correct_and_certain_mask_has_almost_no_loss(target: np.ndarray) -> None:
    weight = np.full_like(target, FULL_WEIGHT)
    right = np.where(target > 0, 30.0, -30.0)
    assert loss(target, weight, right) < 1e-3 < loss(target, weight, 0 * right) < loss(target, weight, -right)


def test_ignored_pixels_do_not_affect_the_loss(target: np.ndarray) -> None:
    weight = np.full_like(target, FULL_WEIGHT)
    weight[0, :10] = 0
    rng = np.random.default_rng(0)
    margin = rng.normal(0, 3, target.shape)
    other = np.where(weight > 0, margin, rng.normal(0, 3, target.shape))
    assert loss(target, weight, other) == pytest.approx(loss(target, weight, margin), rel=1e-5)


def test_without_trusted_pixels_the_loss_is_zero(target: np.ndarray) -> None:
    assert loss(target, np.zeros_like(target), np.ones_like(target)) == 0


def test_freezing_covers_exactly_the_first_blocks() -> None:
    network = architecture.build((17, 17))
    fit.freeze(network, 5)
    frozen = {layer.name for layer in network.layers if not layer.trainable}
    assert {"MobilenetV2-Conv", "MobilenetV2-expanded_conv-project", "MobilenetV2-expanded_conv_5-add"} <= frozen
    assert not frozen & {"MobilenetV2-expanded_conv_6-expand", "MobilenetV2-expanded_conv_16-project", "decoder-skip"}


def test_stages_have_valid_sides_and_outlast_the_warm_up() -> None:
    assert all(stage.side % 16 == 1 and stage.steps > fit.WARM_UP for stage in fit.STAGES)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**16), st.floats(0.1, 1e4))
def test_the_loss_is_never_negative_and_always_finite(seed: int, sharpness: float) -> None:
    dice = np.random.default_rng(seed)
    target = dice.integers(0, 256, (2, 9, 9)).astype(float)
    weight = dice.choice([0.0, 40.0, FULL_WEIGHT, 3 * FULL_WEIGHT], (2, 9, 9))
    found = loss(target, weight, sharpness * dice.normal(0, 1, (2, 9, 9)))
    assert np.isfinite(found)
    assert found >= 0


def test_the_loss_depends_only_on_the_margin_between_the_classes(target: np.ndarray) -> None:
    dice = np.random.default_rng(0)
    truth = np.stack([target, np.full_like(target, FULL_WEIGHT)], axis=-1).astype(np.float32)
    logits = dice.normal(0, 2, (*target.shape, 2)).astype(np.float32)
    shifted = logits + dice.normal(0, 2, (*target.shape, 1)).astype(np.float32)
    assert float(matte_loss(truth, shifted)) == pytest.approx(float(matte_loss(truth, logits)), rel=1e-4)


def test_the_cross_entropy_uses_soft_targets() -> None:
    """For pixels whose weight is too low for the Jaccard term, computed by hand: −t log p − (1 − t) log (1 − p)."""
    target, margin = np.full((1, 4, 4), 51.0), np.full((1, 4, 4), 0.7)  # a fifth
    probability = 1 / (1 + np.exp(-0.7))
    expected = -0.2 * np.log(probability) - 0.8 * np.log(1 - probability)
    assert loss(target, np.full_like(target, FULL_WEIGHT // 2), margin) == pytest.approx(expected, rel=1e-5)


def test_pixels_count_in_proportion_to_their_weight() -> None:
    target, margin = np.zeros((1, 8, 2)), np.tile([2.0, -2.0], (1, 8, 1))
    costs = np.log1p(np.exp(margin[0, 0]))
    for first in (20, 60):
        weight = np.tile([first, 40.0], (1, 8, 1))
        shares = weight[0, 0] / weight[0, 0].sum()
        assert loss(target, weight, margin) == pytest.approx(float(costs @ shares), rel=1e-5)


def test_a_small_person_counts_as_much_as_a_large_one() -> None:
    """A mask that lacks half of a person has about the same loss for small and large people."""
    found = []
    for side in (16, 48):
        target = np.zeros((1, 64, 64))
        target[0, :side, :side] = 255
        half = target.copy()
        half[0, : side // 2] = 0
        weight = np.full_like(target, FULL_WEIGHT)
        right = loss(target, weight, np.where(target > 0, 30.0, -30.0))
        wrong = loss(target, weight, np.where(half > 0, 30.0, -30.0))
        area = (target > half).mean() * 30  # the loss of the entropy alone
        found.append(wrong - right - area)
    assert found[0] == pytest.approx(found[1], abs=0.05)
    assert found[0] == pytest.approx(0.5, abs=0.05)


def test_people_painted_in_an_empty_picture_cost_the_expected_loss() -> None:
    nothing = np.zeros((1, 20, 20))
    weight = np.full_like(nothing, FULL_WEIGHT)
    painted, found = 0.5 * 400, fit.NOBODY * 400 + 10
    expected = np.log(2) + painted / (painted + found)
    assert loss(nothing, weight, np.zeros_like(nothing)) == pytest.approx(expected, rel=1e-5)
    assert loss(nothing, weight, np.full_like(nothing, -30.0)) == pytest.approx(0, abs=1e-5)


# The optimizer


def make_pair() -> keras.Model:
    """Return two layers with the same weights and the same gradient."""
    image = keras.Input((3,))
    one, other = (keras.layers.Dense(2, kernel_initializer="ones", name=name)(image) for name in ("known", "new"))
    return keras.Model(image, keras.layers.Add()([one, other]))


@pytest.mark.parametrize("fresh", [[], ["new"], ["known", "new"]])
def test_fresh_layers_learn_faster_by_their_gain(fresh: list[str]) -> None:
    model = make_pair()
    optimizer = fit.LayerwiseAdamW(fresh, learning_rate=1e-3, weight_decay=0.0)
    model.compile(optimizer=optimizer, loss="mse")
    pixels = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model.train_on_batch(pixels, np.zeros((4, 2), np.float32))
    steps = {name: abs(model.get_layer(name).get_weights()[0] - 1).max() for name in ("known", "new")}
    for name, step in steps.items():
        assert step == pytest.approx(1e-3 * (fit.FRESH_GAIN if name in fresh else 1), rel=1e-2)


# Checkpoints


def make_trainer(seed: int = 1) -> keras.Model:
    keras.utils.set_random_seed(seed)
    model = make_pair()
    model.compile(optimizer=fit.LayerwiseAdamW(["new"], learning_rate=1e-2, use_ema=True), loss="mse")
    return model


def learn(trainer: keras.Model, steps: range) -> None:
    for step in steps:
        dice = np.random.default_rng(step)
        trainer.train_on_batch(dice.normal(size=(4, 3)).astype(np.float32), dice.normal(size=(4, 2)).astype(np.float32))


def test_without_a_checkpoint_training_starts_at_step_0(tmp_path: Path) -> None:
    assert Checkpoint(tmp_path / "none.npz", make_trainer()).restore() == 0


def test_a_restored_run_continues_like_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, first, second = make_trainer(1), make_trainer(1), make_trainer(2)
    learn(whole, range(8))
    checkpoint = Checkpoint(tmp_path / "c.npz", first)
    learn(first, range(5))
    checkpoint.save(5)
    assert Checkpoint(tmp_path / "c.npz", second).restore() == 5
    learn(second, range(5, 8))
    for one, other in zip(whole.optimizer.variables, second.optimizer.variables, strict=True):
        assert np.allclose(one, other, atol=1e-7), one.path
    for one, other in zip(whole.get_weights(), second.get_weights(), strict=True):
        assert np.allclose(one, other, atol=1e-7)


def test_a_checkpoint_is_replaced_atomically(tmp_path: Path) -> None:
    trainer = make_trainer()
    checkpoint = Checkpoint(tmp_path / "c.npz", trainer)
    checkpoint.save(1)
    (tmp_path / "c.part.npz").write_bytes(b"half a checkpoint, as a kill leaves it")
    assert checkpoint.restore() == 1
    checkpoint.save(2)
    assert checkpoint.restore() == 2
    assert [path.name for path in tmp_path.iterdir()] == ["c.npz"]


# Stages, with a network of one layer instead of the default one


def build_small(size: tuple[int, int], widths: architecture.Widths = architecture.WHOLE) -> keras.Model:
    image = keras.Input((*size, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 3, strides=4, padding="same", name="only")(image))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Replace the default network by a small one; return its initial weights."""
    monkeypatch.setattr(fit.architecture, "build", build_small)
    monkeypatch.setattr(fit, "WARM_UP", 2)
    dice = np.random.default_rng(4)
    return [dice.normal(0, 0.1, weight.shape).astype(np.float32) for weight in build_small((17, 17)).get_weights()]


class Stopping(Noise):
    """Scenes of noise that raise an error after a number of crops, as if the run was killed."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.remaining = after
        self.requested: set[tuple[int, float, float]] = set()

    def draw(self, side: int, lean: float, whole: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        self.requested.add((side, lean, whole))
        self.remaining -= 1
        if self.remaining < 0:
            raise KeyboardInterrupt
        return super().draw(side, lean, whole, rng)


LONG = Stage("long", side=17, batch=2, steps=112, peak=1e-2, lean=0.3, whole=0.4)


def run(weights: list[np.ndarray], folder: Path, *, after: int = 10**9, stage: Stage = LONG) -> list[np.ndarray]:
    folder.mkdir(exist_ok=True)
    return fit.run_stage(stage, fit.InitialWeights(weights), Stopping(after), folder, seed=1)


def test_an_interrupted_stage_ends_with_the_weights_of_an_uninterrupted_one(
    small: list[np.ndarray], tmp_path: Path
) -> None:
    whole = run(small, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(small, tmp_path / "stopped", after=2 * 108)
    assert (tmp_path / "stopped/long.checkpoint.npz").exists()
    assert not (tmp_path / "stopped/long.weights.npz").exists()
    resumed = run(small, tmp_path / "stopped")
    for one, other, start in zip(whole, resumed, small, strict=True):
        assert np.allclose(one, other, atol=1e-6)
        assert not np.allclose(one, start, atol=1e-4)


def test_a_finished_stage_is_read_without_training_again(small: list[np.ndarray], tmp_path: Path) -> None:
    stage = Stage("short", side=17, batch=2, steps=4, peak=1e-2)
    first = run(small, tmp_path, stage=stage)
    again = run(small, tmp_path, after=0, stage=stage)
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_a_stage_ends_with_the_running_mean_of_its_weights(
    small: list[np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over two steps, momentum 1 keeps the first step's weights, 0 those of the last, and one half their mean."""
    stage, found = Stage("two", side=17, batch=2, steps=2, peak=1e-2), {}
    monkeypatch.setattr(fit, "WARM_UP", 1)
    for momentum in (1.0, 0.5, 0.0):
        found[momentum] = run(small, tmp_path / str(momentum), stage=replace(stage, averaging=momentum))
    for first, mean, last in zip(found[1.0], found[0.5], found[0.0], strict=True):
        assert np.allclose(mean, (first + last) / 2, atol=1e-7)
    assert not np.allclose(found[1.0][0], found[0.0][0], atol=1e-6)


def test_a_stage_draws_crops_by_its_options_and_logs_its_loss(small: list[np.ndarray], tmp_path: Path) -> None:
    scenes = Stopping(10**9)
    fit.run_stage(LONG, fit.InitialWeights(small), scenes, tmp_path, seed=1)
    assert scenes.requested == {(17, 0.3, 0.4)}
    lines = [line.split("\t") for line in (tmp_path / "long.log").read_text().splitlines()]
    assert [int(step) for step, _ in lines] == [100, 112]
    assert all(float(value) > 0 for _, value in lines)


def test_the_shares_of_all_stages_sum_to_one() -> None:
    assert course.INITIAL_SHARE + sum(stage.share for stage in fit.STAGES) == pytest.approx(1)


def test_the_weights_of_a_stage_are_the_mean_of_its_settled_snapshots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit, "KEEP", 2)
    for step in (2, 4, 6):
        np.savez(tmp_path / f"tiny-{step}.weights.npz", w0=np.full(3, float(step)), w1=np.zeros((2, 2)))
    first, second = fit.average_kept(replace(STAGE, settled=3), tmp_path)
    assert first == pytest.approx(5.0)
    assert second.shape == (2, 2)


def test_a_margin_is_subtracted_from_the_persons_logit() -> None:
    network = architecture.build((17, 17))
    pixels = np.zeros((1, 17, 17, 3), np.float32)
    before = np.asarray(network(pixels))
    course.demand(network, 0.5)
    assert np.asarray(network(pixels)) - before == pytest.approx(np.broadcast_to([0.0, -0.5], before.shape), abs=1e-5)


# A teacher in addition to labels


def build_teacher(margin: float) -> keras.Model:
    """Return a network with the same output everywhere."""
    image = keras.Input((17, 17, 3))
    layer = keras.layers.Conv2D(2, 1, bias_initializer=keras.initializers.Constant(0), name="decides")
    model = keras.Model(image, layer(image))
    layer.set_weights([np.zeros((1, 1, 3, 2)), np.array([0, margin])])
    return model


def taught_loss(label: float, weight: float, margin: float, right: float) -> float:
    truth = np.stack([np.full((1, 9, 9), label), np.full((1, 9, 9), weight)], axis=-1).astype(np.float32)
    mine, taught = (np.stack([np.zeros((1, 9, 9)), np.full((1, 9, 9), value)], -1) for value in (margin, right))
    return float(fit.teacher_loss(truth, mine.astype(np.float32), taught.astype(np.float32)))


def test_the_teacher_loss_is_smallest_for_the_output_of_the_teacher() -> None:
    losses = [taught_loss(255, FULL_WEIGHT, margin, 1.5) for margin in (-2.0, 0.0, 1.5, 4.0)]
    assert min(losses) == losses[2]
    assert losses[0] > losses[1] > losses[2]


def test_a_teacher_contradicted_by_a_trusted_label_does_not_affect_the_loss() -> None:
    assert taught_loss(0, FULL_WEIGHT, -3.0, 5.0) == taught_loss(0, FULL_WEIGHT, 3.0, 5.0)
    untrusted = 0.1 * FULL_WEIGHT
    assert taught_loss(0, untrusted, -3.0, 5.0) > taught_loss(0, untrusted, 3.0, 5.0)


def test_a_stage_follows_its_teacher_without_changing_it(small: list[np.ndarray], tmp_path: Path) -> None:
    # Labels of the noise mean nothing; the teacher sees people everywhere, or nowhere.
    ends = []
    for margin in (-6.0, 6.0):
        teacher = build_teacher(margin)
        before = [weight.copy() for weight in teacher.get_weights()]
        stage = replace(STAGE, steps=12, peak=3e-2, averaging=0.5)
        folder = tmp_path / str(margin)
        folder.mkdir()
        found = fit.run_stage(stage, fit.InitialWeights(small), Noise(), folder, 1, teacher)
        assert all(np.array_equal(*pair) for pair in zip(before, teacher.get_weights(), strict=True))
        ends.append(float(found[1][1] - found[1][0]))
    assert ends[0] < ends[1]


@pytest.mark.parametrize(("last", "frozen"), [(-1, ["-Conv"]), (0, ["-Conv", "conv-project"])])
def test_fewer_blocks_can_be_frozen_for_a_student(last: int, frozen: list[str]) -> None:
    network = architecture.build((17, 17))
    fit.freeze(network, last)
    still = {layer.name for layer in network.layers if layer.weights and not layer.trainable}
    assert all(any(name.endswith(end) for name in still) for end in frozen)
    assert not any("conv_1-" in name for name in still)
    assert (last == 0) == ("MobilenetV2-expanded_conv-depthwise" in still)
