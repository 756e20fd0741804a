"""Several pictures in one inference."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.batching import remove_squeeze_pairs, set_batch
from danmatte_workbench.runtimes.core import open_core

SIDE = 8


def convolve() -> tuple[ov.Node, ov.Node]:
    """Return a picture input, (1, SIDE, SIDE, 3) u8, and (1, 4, SIDE, SIDE) features of it."""
    picture = ops.parameter([1, SIDE, SIDE, 3], np.uint8, name="image")
    floats = ops.transpose(ops.convert(picture, "f32"), np.array([0, 3, 1, 2]))
    kernel = np.random.default_rng(1).normal(0, 0.1, (4, 3, 3, 3)).astype(np.float32)
    return picture, ops.convolution(floats, kernel, [1, 1], [1, 1], [1, 1], [1, 1])


def plain() -> ov.Model:
    picture, features = convolve()
    return ov.Model([ops.result(ops.relu(features))], [picture], "plain")


def pooled(axes: tuple[int, ...] = (0, 2, 3)) -> ov.Model:
    """Return a graph with a pooled branch whose batch is squeezed and unsqueezed, as TensorFlow does for its bias."""
    picture, features = convolve()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    back = ops.unsqueeze(ops.squeeze(mean, np.array([0, 2, 3])), np.array(axes))
    return ov.Model([ops.result(ops.add(features, back))], [picture], "pooled")


def single() -> ov.Model:
    """Return a graph that squeezes the batch without unsqueezing it."""
    picture, features = convolve()
    turned = ops.transpose(ops.squeeze(features, np.array([0])), np.array([1, 2, 0]))
    return ov.Model([ops.result(ops.unsqueeze(turned, np.array([0])))], [picture], "single")


def compute(model: ov.Model, pictures: np.ndarray) -> np.ndarray:
    compiled = open_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled({0: pictures})[0])


@pytest.mark.parametrize(("made", "mended"), [(plain, False), (pooled, True)])
def test_a_batch_gives_the_outputs_of_its_single_pictures(made: object, mended: bool) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (3, SIDE, SIDE, 3), np.uint8)
    alone = np.concatenate([compute(made(), picture[None]) for picture in pictures])
    model, changed_it = set_batch(made(), 3)
    assert changed_it is mended
    assert list(model.input(0).shape) == [3, SIDE, SIDE, 3]
    np.testing.assert_allclose(compute(model, pictures), alone, rtol=1e-4, atol=1e-4)


def test_a_batch_of_one_leaves_the_graph_unchanged() -> None:
    model = single()
    assert set_batch(model, 1) == (model, False)


def test_a_graph_that_cannot_be_batched_is_refused_with_the_node() -> None:
    with pytest.raises(InputError, match="can't be reshaped to a batch of 2: at 'Transpose"):
        set_batch(single(), 2)


def test_only_pairs_of_squeeze_and_unsqueeze_that_cancel_out_are_removed() -> None:
    model = pooled()
    pictures = np.random.default_rng(3).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)
    before = compute(model, pictures)
    assert remove_squeeze_pairs(model) == 1
    assert "Unsqueeze" not in [node.get_type_name() for node in model.get_ops()]
    np.testing.assert_allclose(compute(model, pictures), before, rtol=1e-5)
    assert remove_squeeze_pairs(single()) == 0


def test_negative_axes_are_recognised_in_squeeze_pairs() -> None:
    assert remove_squeeze_pairs(pooled(axes=(-4, -2, -1))) == 1


def test_squeeze_pairs_of_different_axes_are_kept() -> None:
    picture, features = convolve()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    turned = ops.unsqueeze(ops.squeeze(mean, np.array([0, 2, 3])), np.array([1, 2, 3]))
    assert remove_squeeze_pairs(ov.Model([ops.result(turned)], [picture], "turned")) == 0


@pytest.mark.parametrize("count", [2, 3, 7])
def test_pictures_of_a_batch_do_not_affect_each_other(count: int) -> None:
    """The outputs of one picture don't depend on the other pictures."""
    model, _ = set_batch(pooled(), count)
    rng = np.random.default_rng(4)
    pictures = rng.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)
    before = compute(model, pictures)
    pictures[-1] = 0
    after = compute(model, pictures)
    np.testing.assert_allclose(after[:-1], before[:-1], rtol=1e-4, atol=1e-4)
    assert not np.allclose(after[-1], before[-1])


def test_a_graph_that_had_to_be_changed_is_returned_as_a_new_one() -> None:
    model = pooled()
    changed, changed_it = set_batch(model, 2)
    assert changed_it
    assert changed is not model


def test_a_reshape_to_a_constant_batch_is_refused_with_its_node() -> None:
    picture, features = convolve()
    flat = ops.reshape(features, np.array([1, 4 * SIDE * SIDE]), special_zero=False)
    flat.set_friendly_name("flatten")
    with pytest.raises(InputError, match=r"^can't be reshaped to a batch of 3: at '?flatten"):
        set_batch(ov.Model([ops.result(flat)], [picture], "flat"), 3)


def test_squeeze_pairs_with_computed_axes_are_kept() -> None:
    picture, features = convolve()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    axes = ops.convert(ops.constant(np.array([0, 2, 3], np.int32)), "i64")
    back = ops.unsqueeze(ops.squeeze(mean, axes), axes)
    assert remove_squeeze_pairs(ov.Model([ops.result(back)], [picture], "computed")) == 0


def test_a_squeeze_with_a_second_reader_stays_for_that_reader() -> None:
    picture, features = convolve()
    mean = ops.reduce_mean(features, np.array([2, 3]), keep_dims=True)
    flat = ops.squeeze(mean, np.array([0, 2, 3]))
    back = ops.unsqueeze(flat, np.array([0, 2, 3]))
    model = ov.Model([ops.result(back), ops.result(ops.relu(flat))], [picture], "shared")
    assert remove_squeeze_pairs(model) == 1
    assert "Squeeze" in [node.get_type_name() for node in model.get_ops()]
