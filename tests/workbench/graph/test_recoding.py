"""Conversion of a graph's own 8-bit weights, without their zero points."""

import numpy as np
import openvino as ov
import pytest

from danmatte_workbench.configuration import configure
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.preprocessing import feed_bytes
from danmatte_workbench.graph.recoding import recode_kernel, recode_weights
from danmatte_workbench.runtimes.openvino import compile_model
from tests.workbench import stored_bytes
from tests.workbench.small_graphs import Chain

STEP = np.array([0.25], np.float32)
PICTURE = np.random.default_rng(5).integers(
    0, 256, (1, stored_bytes.SIDE, stored_bytes.SIDE, 3), dtype=np.uint8
)  # fmt: skip


def run(model: ov.Model) -> np.ndarray:
    return np.array(compile_model(model, configure(precision="f32"))(PICTURE)[0])


def test_weights_within_127_steps_are_kept_exactly() -> None:
    kernel = 0.25 * np.random.default_rng(0).integers(-127, 128, (4, 3, 2, 2)).astype(np.float32)
    numbers, steps = recode_kernel(kernel, STEP, grouped=False)
    assert numbers.dtype == np.int8
    assert np.array_equal(numbers * steps, kernel)
    assert steps.shape == (4, 1, 1, 1)


def test_only_a_channel_beyond_127_steps_gets_coarser_steps() -> None:
    kernel = 0.25 * np.ones((2, 1, 1, 3, 3), np.float32)
    kernel[1, 0, 0, 0, 0] = -0.25 * 200
    numbers, steps = recode_kernel(kernel, STEP, grouped=True)
    assert steps.ravel() == pytest.approx([0.25, 0.25 * 200 / 127])
    assert np.abs(numbers * steps - kernel).max() <= steps.max() / 2
    assert numbers.min() == -127


def test_each_channel_keeps_its_own_steps() -> None:
    own = np.array([0.5, 0.125], np.float32)
    kernel = own[:, None, None, None] * np.array([[[[3.0]]], [[[100.0]]]], np.float32)
    numbers, steps = recode_kernel(kernel, own, grouped=False)
    assert (numbers.ravel().tolist(), steps.ravel().tolist()) == ([3, 100], [0.5, 0.125])


def test_recoding_keeps_the_output_and_bytes_can_be_fed() -> None:
    expected, model = run(stored_bytes.make()), stored_bytes.make()
    found = recode_weights(model)
    assert (found.layers, found.of) == (3, 3)
    assert found.exact >= found.channels - 3  # −128 has no positive counterpart
    assert feed_bytes(model)
    assert np.abs(run(model) - expected).max() <= 2 * 6 / 255  # a step or two of the last rounding


def test_recoded_layers_have_no_zero_point() -> None:
    model = stored_bytes.make(200)
    recode_weights(model)
    kernels = [
        node.input_value(1).get_node() for node in model.get_ordered_ops() if "Convolution" in node.get_type_name()
    ]
    assert [kernel.input_value(0).get_node().get_type_name() for kernel in kernels] == ["Convert"] * 3
    stored = [kernel.input_value(0).get_node().input_value(0) for kernel in kernels]
    assert {value.get_element_type() for value in stored} == {ov.Type.i8}


def test_layers_that_would_change_too_much_are_not_recoded() -> None:
    model = stored_bytes.make(140)  # most reach 140 steps down
    found = recode_weights(model, largest_error=1e-5)
    assert 0 < found.layers < found.of == 3
    with pytest.raises(InputError, match=r"recode: all 3 layers would change by more than 1e-09"):
        recode_weights(stored_bytes.make(140), largest_error=1e-9)


def test_a_graph_of_floats_has_nothing_to_recode() -> None:
    with pytest.raises(InputError, match="recode: expected weights of 8 bits with a zero point, found none"):
        recode_weights(Chain().conv(4, "stem", side=3).model())


def test_the_scale_of_the_first_quantizer_is_kept_when_it_is_removed() -> None:
    """TFLite's first quantizer converts bytes to real values; without it, inputs would be a hundred times too large."""
    expected, model = run(stored_bytes.make()), stored_bytes.make()
    assert feed_bytes(model)
    assert np.abs(run(model) - expected).max() <= 6 / 255
