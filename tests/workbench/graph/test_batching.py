"""Several pictures in one inference."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.batching import remove_squeeze_pairs, set_batch
from danmatte_workbench.runtimes.core import open_core

SIDE = 8


def convolved() -> tuple[ov.Node, ov.Node]:
    """Return a picture input, (1, SIDE, SIDE, 3) u8, and (1, 4, SIDE, SIDE) features of it."""
    picture = ops.parameter([1, SIDE, SIDE, 3], np.uint8, name="image")
    floats = ops.transpose(ops.convert(picture, "f32"), np.array([0, 3, 1, 2]))
    kernel = np.random.default_rng(1).normal(0, 0.1, (4, 3, 3, 3)).astype(np.float32)
    return picture, ops.convolution(floats, kernel, [1, 1], [1, 1], [1, 1], [1, 1])


def plain() -> ov.Model:
    picture, features = convolved()
    return ov.Model([ops.result(ops.relu(features))], [picture], "plain")


def pooled(axes: tuple[int, ...] = (0, 2, 3)) -> ov.Model:
    """Return a graph with a pooled branch whose batch is squeezed and unsqueezed, as TensorFlow does for its bias."""
    picture, features = convolved()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    back = ops.unsqueeze(ops.squeeze(mean, np.array([0, 2, 3])), np.array(axes))
    return ov.Model([ops.result(ops.add(features, back))], [picture], "pooled")


def single() -> ov.Model:
    """Return a graph that squeezes the batch without unsqueezing it."""
    picture, features = convolved()
    turned = ops.transpose(ops.squeeze(features, np.array([0])), np.array([1, 2, 0]))
    return ov.Model([ops.result(ops.unsqueeze(turned, np.array([0])))], [picture], "single")


def answered(model: ov.Model, pictures: np.ndarray) -> np.ndarray:
    compiled = open_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled({0: pictures})[0])


@pytest.mark.parametrize(("made", "mended"), [(plain, False), (pooled, True)])
def test_a_batch_answers_as_its_pictures_do_one_by_one(made: object, mended: bool) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    alone = np.concatenate([answered(made(), picture[None]) for picture in pictures])
    model, had_to_be = set_batch(made(), 3)
    assert had_to_be is mended
    assert list(model.input(0).shape) == [3, SIDE, SIDE, 3]
    np.testing.assert_allclose(answered(model, pictures), alone, rtol=1e-4, atol=1e-4)


def test_a_batch_of_one_is_the_graph_as_it_is() -> None:
    model = single()
    assert set_batch(model, 1) == (model, False)


def test_a_graph_for_single_pictures_says_where_it_does_not_fit() -> None:
    with pytest.raises(InputError, match="can't be reshaped to a batch of 2: at 'Transpose"):
        set_batch(single(), 2)


def test_mending_takes_out_identities_only() -> None:
    model = pooled()
    pictures = np.random.default_rng(3).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    before = answered(model, pictures)
    assert remove_squeeze_pairs(model) == 1
    assert "Unsqueeze" not in [node.get_type_name() for node in model.get_ops()]
    np.testing.assert_allclose(answered(model, pictures), before, rtol=1e-5)
    assert remove_squeeze_pairs(single()) == 0


def test_axes_count_from_the_end_too() -> None:
    assert remove_squeeze_pairs(pooled(axes=(-4, -2, -1))) == 1


def test_other_axes_are_no_identity() -> None:
    picture, features = convolved()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    turned = ops.unsqueeze(ops.squeeze(mean, np.array([0, 2, 3])), np.array([1, 2, 3]))
    assert remove_squeeze_pairs(ov.Model([ops.result(turned)], [picture], "turned")) == 0


@pytest.mark.parametrize("count", [2, 3, 7])
def test_any_batch_keeps_its_pictures_apart(count: int) -> None:
    """The outputs of one picture don't depend on the other pictures."""
    model, _ = set_batch(pooled(), count)
    rng = np.random.default_rng(4)
    pictures = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    before = answered(model, pictures)
    pictures[-1] = 0
    after = answered(model, pictures)
    np.testing.assert_allclose(after[:-1], before[:-1], rtol=1e-4, atol=1e-4)
    assert not np.allclose(after[-1], before[-1])


def test_a_graph_that_had_to_be_changed_is_another_one_and_the_first_is_spoilt() -> None:
    model = pooled()
    changed, had_to_be = set_batch(model, 2)
    assert had_to_be
    assert changed is not model


def test_a_reshape_to_a_constant_batch_is_refused_by_its_node() -> None:
    picture, features = convolved()
    flat = ops.reshape(features, np.array([1, 4 * SIDE * SIDE]), special_zero=False)
    flat.set_friendly_name("flatten")
    with pytest.raises(InputError, match=r"^can't be reshaped to a batch of 3: at '?flatten"):
        set_batch(ov.Model([ops.result(flat)], [picture], "flat"), 3)


def test_axes_that_are_computed_are_no_identity() -> None:
    picture, features = convolved()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    axes = ops.convert(ops.constant(np.array([0, 2, 3], np.int32)), "i64")
    back = ops.unsqueeze(ops.squeeze(mean, axes), axes)
    assert remove_squeeze_pairs(ov.Model([ops.result(back)], [picture], "computed")) == 0


def test_a_squeeze_that_another_node_reads_is_taken_out_of_the_pair_only() -> None:
    picture, features = convolved()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    flat = ops.squeeze(mean, np.array([0, 2, 3]))
    back = ops.unsqueeze(flat, np.array([0, 2, 3]))
    model = ov.Model([ops.result(back), ops.result(ops.relu(flat))], [picture], "shared")
    assert remove_squeeze_pairs(model) == 1
    assert "Squeeze" in [node.get_type_name() for node in model.get_ops()]
