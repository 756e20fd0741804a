"""Optimal Brain Surgeon: the predicted loss is the loss of a least-squares fit."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.pruning.channels import ChannelMap
from danmatte_workbench.pruning.importance import BLOCK, Mixer, RemovalOrder, damp, rank_channels
from tests.workbench.small_graphs import Chain

WIDTH = 40


def chain(width: int = WIDTH) -> tuple[ov.Model, ChannelMap, int]:
    """Return a graph with one space of that width, its map, and the space's number."""
    model = Chain().conv(width, "makes").relu().conv(3, "mixes").model()
    channels = ChannelMap(model)
    (number,) = channels.find_prunable()
    return model, channels, number


def inputs(*, copies: int = 0, seed: int = 0) -> np.ndarray:
    """Return (places, WIDTH + 1) activations and the constant; the last ``copies`` channels repeat the first ones."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1, (400, WIDTH)) * rng.uniform(0.2, 2, WIDTH)
    if copies:
        values[:, -copies:] = values[:, :copies]
    return np.column_stack([values, np.ones(400)])


def mixer(values: np.ndarray, *, zero: int = 0, seed: int = 1) -> Mixer:
    weights = np.random.default_rng(seed).normal(0, 1, (3, WIDTH + 1))
    if zero:
        weights[:, :zero] = 0
    return Mixer("mixes", weights, values.T @ values)


def fit_loss(mixed: Mixer, values: np.ndarray, kept: np.ndarray) -> float:
    """Return the residual of the least-squares fit from the kept channels, as a share of the outputs' variance."""
    columns = np.append(kept, WIDTH)
    wanted = values @ mixed.weights.T
    fit, *_ = np.linalg.lstsq(values[:, columns], wanted, rcond=None)
    return float(np.square(values[:, columns] @ fit - wanted).sum() / mixed.energy)


def test_the_energy_of_a_mixer_is_the_variance_of_its_outputs() -> None:
    values = inputs()
    mixed = mixer(values)
    made = values @ mixed.weights.T
    assert mixed.energy == pytest.approx(np.square(made - made.mean(axis=0)).sum(), rel=1e-6)


@pytest.mark.parametrize("removed", [1, 4, 12])
def test_the_predicted_loss_equals_that_of_a_least_squares_fit(removed: int) -> None:
    _, channels, number = chain()
    values = inputs()
    mixed = mixer(values)
    order = rank_channels(channels, number, ["mixes"], {"mixes": mixed})
    assert order.loss[removed] == pytest.approx(fit_loss(mixed, values, order.list_kept(removed)), rel=0.02)


def test_channels_with_zero_weights_are_removed_first_without_loss() -> None:
    _, channels, number = chain()
    order = rank_channels(channels, number, ["mixes"], {"mixes": mixer(inputs(), zero=6)})
    assert set(order.order[:6]) == set(range(6))
    assert order.loss[6] == pytest.approx(0, abs=1e-9)


def test_repeated_channels_cost_nothing_while_their_originals_are_kept() -> None:
    _, channels, number = chain()
    order = rank_channels(channels, number, ["mixes"], {"mixes": mixer(inputs(copies=8))})
    assert order.loss[8] < 1e-4
    assert order.loss[12] > 10 * order.loss[8]


def test_losses_never_decrease_and_every_channel_is_ranked() -> None:
    _, channels, number = chain()
    order = rank_channels(channels, number, ["mixes"], {"mixes": mixer(inputs())})
    assert sorted(order.order) == list(range(WIDTH))
    assert (np.diff(order.loss) >= 0).all()
    assert len(order.loss) == WIDTH - BLOCK + 1


def test_one_block_of_channels_is_always_kept() -> None:
    _, channels, number = chain()
    order = rank_channels(channels, number, ["mixes"], {"mixes": mixer(inputs())})
    assert len(order.list_kept(len(order.loss) - 1)) == BLOCK


def test_kept_channels_are_sorted() -> None:
    order = RemovalOrder(np.array([3, 0, 2, 1]), np.zeros(3))
    assert order.list_kept(1).tolist() == [0, 1, 2]
    assert order.list_kept(0).tolist() == [0, 1, 2, 3]


def test_a_mixer_named_twice_counts_once() -> None:
    _, channels, number = chain()
    mixed = {"mixes": mixer(inputs())}
    once = rank_channels(channels, number, ["mixes"], mixed)
    twice = rank_channels(channels, number, ["mixes", "mixes"], mixed)
    assert np.array_equal(once.loss, twice.loss)


def test_only_channels_of_the_space_are_ranked() -> None:
    """A mixer of two concatenated spaces: each space has its own places in it."""
    made = Chain()
    left = made.conv(32, "left").relu().value
    made.value = made.picture
    right = made.conv(WIDTH - 32 + 16, "right").relu().value
    made.value = ops.concat([left, right], 1)
    model = made.conv(3, "mixes").model()
    channels = ChannelMap(model)
    widths = {number: space.width for number, space in channels.find_prunable().items()}
    assert sorted(widths.values()) == [24, 32]
    total = sum(widths.values())
    values = np.random.default_rng(0).normal(0, 1, (300, total + 1))
    mixed = Mixer("mixes", np.random.default_rng(1).normal(0, 1, (3, total + 1)), values.T @ values)
    for number, width in widths.items():
        order = rank_channels(channels, number, ["mixes"], {"mixes": mixed})
        assert sorted(order.order) == list(range(width))


def test_damping_makes_the_moment_of_repeated_channels_invertible() -> None:
    moment = np.ones((4, 4))
    with pytest.raises(np.linalg.LinAlgError):
        np.linalg.inv(moment)
    assert np.isfinite(np.linalg.inv(damp(moment))).all()
    assert damp(moment) == pytest.approx(moment, abs=1e-4)
