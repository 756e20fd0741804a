"""A graph as a student: its weights are read and written unchanged, and it can simulate its INT8 version."""

import numpy as np
import openvino as ov
import pytest
import tensorflow as tf
from openvino import opset13 as ops

from danmatte_workbench.distillation.operations import ArrangedTensor
from danmatte_workbench.distillation.student import (
    BIAS_PACE,
    Student,
    find_logits,
    is_sum,
    measure_size,
    read_weights,
    round_input,
    write_weights,
)
from tests.workbench.small_graphs import Chain, answer, named, noise


def network() -> ov.Model:
    """Return a residual block with a probability at the end."""
    chain = Chain(9, 9, last=True).conv(6, "stem", side=3).relu()
    start = chain.value
    chain.conv(8, "widen").clamp().depthwise("deep").clamp().conv(6, "narrow")
    chain.value = ops.add(start, chain.value)
    chain.value.set_friendly_name("sum")
    chain.conv(1, "last")
    chain.value = ops.transpose(ops.sigmoid(chain.value), np.array([0, 2, 3, 1]))
    return chain.model()


def test_every_kernel_and_bias_is_trainable() -> None:
    layers = ["stem", "widen", "deep", "narrow", "last"]
    assert set(Student(network()).variables) == {*layers, *(f"{layer}/bias" for layer in layers)}


def test_weights_are_read_unchanged() -> None:
    model = network()
    weights = Student(model).read_weights()
    for name, values in weights.items():
        assert values == pytest.approx(named(model, name).input_value(1).get_node().get_data(), rel=1e-5, abs=1e-7)


def test_the_graph_computes_with_written_weights() -> None:
    model, other = network(), network()
    weights = {name: 0.5 * values for name, values in Student(model).read_weights().items()}
    write_weights(other, weights)
    student = Student(model)
    for variable in student.variables.values():
        variable.assign(0.5 * variable)
    picture = noise(model)
    logits = student(picture)[0].numpy()
    assert answer(other, picture) == pytest.approx(1 / (1 + np.exp(-logits)), abs=1e-5)


def test_values_of_watched_nodes_are_returned_after_the_logits() -> None:
    model = network()
    logits, block, deep = Student(model, ("sum", "deep"))(noise(model))
    assert (logits.shape, block.shape, deep.shape) == ((1, 9, 9, 1), (1, 9, 9, 6), (1, 9, 9, 8))
    assert all(value.dtype == tf.float32 for value in (logits, block, deep))


def test_half_precision_gives_nearly_the_same_logits() -> None:
    model = network()
    exact, rough = (Student(model, dtype=kind)(noise(model))[0].numpy() for kind in (tf.float32, tf.bfloat16))
    assert not np.array_equal(exact, rough)
    assert np.abs(exact - rough).max() < 0.05 * np.abs(exact).max()


def test_a_student_reports_the_sizes_of_its_input_and_logits() -> None:
    model = Chain(9, 13, last=True).conv(4, "stem", side=3, stride=2).conv(1, "last").model()
    assert (Student(model).size, Student(model).places) == ((9, 13), (5, 7))


def test_kernels_that_sum_more_inputs_learn_more_slowly() -> None:
    paces = Student(network()).paces
    assert paces["stem"] == pytest.approx(1 / np.sqrt(27))
    assert paces["widen"] == pytest.approx(1 / np.sqrt(6))
    assert paces["deep"] == pytest.approx(1 / 3)
    assert paces["deep/bias"] == BIAS_PACE


def test_an_8_bit_student_shares_its_variables_and_rounds() -> None:
    student = Student(network())
    rounded = student.simulate_eight_bits()
    picture = noise(network())
    exact, rough = student(picture)[0].numpy(), rounded(picture)[0].numpy()
    assert rounded.variables is student.variables
    assert 0 < np.abs(exact - rough).max() < 0.1 * np.abs(exact).max()
    assert np.array_equal(student(picture)[0].numpy(), exact), "the student itself doesn't round"


def test_kernels_are_rounded_with_a_scale_for_each_output_channel() -> None:
    model = Chain().conv(3, "first").model()
    node = named(model, "first")
    values = tf.constant(np.array([[1.0, 0.004], [100.0, 0.3], [0.0, 0.0]], np.float32).reshape(3, 2, 1, 1))
    rounded = round_input(node, 1, ArrangedTensor(values)).tensor.numpy().reshape(3, 2)
    assert rounded[0] == pytest.approx([1.0, 1 / 127], abs=1e-6)
    assert rounded[1] == pytest.approx([100.0, 0.0], abs=1e-4)
    assert rounded[2].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("activate", "steps"),
    [
        (lambda chain: chain.clamp(2.0), 255 / 2.0),
        (lambda chain: chain.relu(), 255 / 4.0),
        (lambda chain: chain, 127 / 4.0),
    ],
    ids=["clamp", "relu", "signed"],
)
def test_maps_are_rounded_within_the_range_of_their_activation(activate, steps: float) -> None:
    chain = activate(Chain().conv(3, "first"))
    model = chain.conv(2, "last").model()
    values = tf.constant(np.array([4.0, 0.01, 1.234], np.float32).reshape(1, 3, 1, 1))
    rounded = round_input(named(model, "last"), 0, ArrangedTensor(values)).tensor.numpy() * steps
    assert rounded == pytest.approx(np.round(rounded), abs=1e-3)


def test_sizes_are_measured_for_each_channel_of_a_kernel_and_a_whole_bias() -> None:
    kernel = np.array([[3.0, 4.0], [300.0, 400.0]], np.float32).reshape(2, 2, 1, 1)
    assert measure_size(kernel).shape == (2, 1, 1, 1)
    assert measure_size(kernel)[1, 0, 0, 0] == pytest.approx(np.sqrt(125000))
    bias = np.array([3.0, 4.0], np.float32).reshape(1, 2, 1, 1)
    assert measure_size(bias).ravel().tolist() == pytest.approx([np.sqrt(12.5)])


def test_a_channel_of_zeros_has_a_positive_size() -> None:
    kernel = np.array([[0.0], [1.0]], np.float32).reshape(2, 1, 1, 1)
    assert (measure_size(kernel) > 0).all()
    assert np.isfinite(measure_size(np.zeros((2, 1, 1, 1), np.float32))).all()


def test_only_float_kernels_and_their_biases_are_weights() -> None:
    model = network()
    assert read_weights(named(model, "stem")) is not None
    assert read_weights(named(model, "stem/bias")) is not None
    assert read_weights(named(model, "sum")) is None
    assert read_weights(next(node for node in model.get_ops() if node.get_type_name() == "Relu")) is None


def test_an_addition_of_two_maps_is_a_sum_and_a_bias_is_not() -> None:
    model = network()
    assert is_sum(named(model, "sum"))
    assert not is_sum(named(model, "stem/bias"))


def test_logits_are_found_before_the_sigmoid_or_at_the_end() -> None:
    assert find_logits(network()).get_friendly_name() == "last/bias"
    plain = Chain().conv(2, "last").model()
    assert find_logits(plain).get_friendly_name() == "last/bias"
