"""Leftovers of converters are removed, and the outputs stay the same."""

import numpy as np
import openvino as ov
import pytest
from openvino import opset13 as ops

from danmatte_workbench.graph.cleanup import (
    clean_up,
    drop_simulated_quantization,
    fold_constants,
    optimize_frozen,
    straighten_resizes,
)
from tests.workbench.small_graphs import Chain, answer, kinds, noise

LEVELS = 256


def simulate(value: ov.Node, low: float, high: float, *, out: tuple[float, float] | None = None) -> ov.Node:
    """Round the value to 8 bits between two bounds, in the form of TFLite's converter."""
    bounds = [np.float32(bound) for bound in (low, high, *(out or (low, high)))]
    return ops.fake_quantize(value, *bounds, LEVELS)


def test_a_simulated_range_becomes_a_clamp() -> None:
    chain = Chain().conv(4, "first")
    plain = ops.clamp(chain.value, -0.5, 0.75)
    chain.value = simulate(chain.value, -0.5, 0.75)
    chain.conv(2, "last")
    model = chain.model()
    drop_simulated_quantization(model)
    assert "FakeQuantize" not in kinds(model)
    reference = Chain().conv(4, "first")
    reference.value = ops.clamp(reference.value, -0.5, 0.75)
    expected = reference.conv(2, "last").model()
    assert plain.get_type_name() == "Clamp"
    assert np.array_equal(answer(model, noise(model)), answer(expected, noise(expected)))


def test_after_the_last_layer_a_simulated_range_is_removed_without_a_clamp() -> None:
    chain = Chain().conv(4, "first")
    plain = chain.model().clone()
    chain.value = simulate(chain.value, -0.01, 0.01)
    model = chain.model()
    drop_simulated_quantization(model)
    assert not {"FakeQuantize", "Clamp"} & set(kinds(model))
    assert np.array_equal(answer(model, noise(model)), answer(plain, noise(plain)))


def test_simulated_quantization_that_also_scales_is_kept() -> None:
    chain = Chain().conv(4, "first")
    chain.value = simulate(chain.value, -1, 1, out=(-2, 2))
    model = chain.conv(2, "last").model()
    drop_simulated_quantization(model)
    assert "FakeQuantize" in kinds(model)


def test_simulated_quantization_with_computed_bounds_is_kept() -> None:
    chain = Chain().conv(4, "first")
    most = ops.reduce_max(chain.value, np.array([0, 1, 2, 3]), keep_dims=False)
    low, high = ops.multiply(most, np.float32(-1)), most
    chain.value = ops.fake_quantize(chain.value, low, high, low, high, LEVELS)
    model = chain.conv(2, "last").model()
    drop_simulated_quantization(model)
    assert "FakeQuantize" in kinds(model)


def compressed() -> ov.Model:
    """Return a kernel that is stored in 8 bits and decompressed, and a bias that is the sum of two."""
    chain = Chain()
    stored = ops.constant(np.random.default_rng(5).integers(-127, 128, (4, 3, 1, 1)).astype(np.int8))
    kernel = ops.multiply(ops.convert(stored, "f32"), np.full((4, 1, 1, 1), 0.01, np.float32))
    chain.value = ops.convolution(chain.value, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    bias = ops.add(ops.constant(np.ones((1, 4, 1, 1), np.float32)), np.full((1, 4, 1, 1), 0.5, np.float32))
    chain.value = ops.add(chain.value, bias)
    return chain.model()


def test_nodes_that_depend_on_no_input_become_constants() -> None:
    model = compressed()
    before = answer(model, noise(model))
    fold_constants(model)
    assert kinds(model) == ["Convolution", "Add"]
    assert answer(model, noise(model)) == pytest.approx(before, abs=1e-5)


def test_a_graph_without_computed_constants_is_not_changed() -> None:
    model = Chain().conv(4, "first").model()
    before = [node.get_friendly_name() for node in model.get_ordered_ops()]
    fold_constants(model)
    assert [node.get_friendly_name() for node in model.get_ordered_ops()] == before


def test_simulated_quantization_of_weights_is_folded_into_them() -> None:
    chain = Chain()
    kernel = simulate(ops.constant(np.random.default_rng(5).normal(0, 1, (4, 3, 1, 1)).astype(np.float32)), -3, 3)
    chain.value = ops.convolution(chain.value, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    model = chain.relu().model()
    before = answer(model, noise(model))
    clean_up(model)
    assert "FakeQuantize" not in kinds(model)
    assert answer(model, noise(model)) == pytest.approx(before, abs=1e-5)


def resized_in_nhwc(*, readers: int = 1, axes: tuple[int, int] = (1, 2)) -> ov.Model:
    """Return a resize between the transposes that TensorFlow's layout leaves around it."""
    chain = Chain().conv(4, "first")
    rows = ops.transpose(chain.value, np.array([0, 2, 3, 1]))
    large = ops.interpolate(
        rows,
        np.array([18, 18]) if axes == (1, 2) else np.array([9, 8]),
        "linear_onnx" if axes == (1, 2) else "nearest",
        "sizes",
        coordinate_transformation_mode="align_corners" if axes == (1, 2) else "asymmetric",
        nearest_mode="floor",
        axes=np.array(axes),
    )
    large.set_friendly_name("enlarge")
    chain.value = ops.transpose(large, np.array([0, 3, 1, 2]))
    return chain.model(*[ops.relu(large)] * (readers - 1))


def test_transposes_around_a_resize_are_removed() -> None:
    model = resized_in_nhwc()
    before = answer(model, noise(model))
    straighten_resizes(model)
    assert kinds(model) == ["Convolution", "Add", "Interpolate"]
    assert answer(model, noise(model)) == pytest.approx(before, abs=1e-5)
    assert "enlarge" in {node.get_friendly_name() for node in model.get_ordered_ops()}


@pytest.mark.parametrize("model", [resized_in_nhwc(readers=2), resized_in_nhwc(axes=(2, 3))], ids=["read", "channels"])
def test_a_resize_with_more_readers_or_on_channels_keeps_its_transposes(model: ov.Model) -> None:
    before = kinds(model)
    straighten_resizes(model)
    assert kinds(model) == before


def test_optimizing_a_frozen_graph_removes_transposes_and_keeps_the_outputs() -> None:
    model = resized_in_nhwc()
    before = answer(model, noise(model))
    optimize_frozen(model)
    assert "Transpose" not in kinds(model)
    assert answer(model, noise(model)) == pytest.approx(before, abs=1e-5)
