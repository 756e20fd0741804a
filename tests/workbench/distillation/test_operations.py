"""Every operation returns in TensorFlow what OpenVINO returns, and has a gradient."""

import numpy as np
import openvino as ov
import pytest
import tensorflow as tf
from openvino import opset13 as ops

from danmatte_workbench.distillation.operations import NHWC, ArrangedTensor, round_to
from danmatte_workbench.distillation.student import Student
from danmatte_workbench.errors import InputError
from tests.workbench.small_graphs import Chain, answer, noise


def chain(**how: int) -> Chain:
    return Chain(10, 13, last=True, **how)


def binary(operation) -> Chain:
    made = chain().conv(4, "first")
    made.value = operation(made.value, ops.add(ops.sigmoid(made.value), np.float32(1)))
    return made


def unary(operation) -> Chain:
    made = chain().conv(4, "first")
    made.value = operation(made.value)
    return made


def joined() -> Chain:
    made = chain().conv(4, "first")
    made.value = ops.concat([made.value, ops.relu(made.value)], 1)
    return made


def pooled(*, by_kernel: bool) -> Chain:
    made = chain().conv(4, "first")
    if by_kernel:
        mean = ops.avg_pool(made.value, [1, 1], [0, 0], [0, 0], [10, 13], True)
    else:
        mean = ops.reduce_mean(made.value, np.array([2, 3]), keep_dims=True)
    made.value = ops.add(made.value, mean)
    return made


def squeezed() -> Chain:
    made = pooled(by_kernel=False)
    mean = ops.reduce_mean(made.value, np.array([2, 3]), keep_dims=True)
    flat = ops.squeeze(mean, np.array([2, 3]))
    back = ops.reshape(ops.unsqueeze(flat, np.array([2, 3])), np.array([1, 4, 1, 1]), special_zero=False)
    made.value = ops.multiply(made.value, back)
    return made


GRAPHS = {
    "pointwise": lambda: chain().conv(4, "a"),
    "3×3": lambda: chain().conv(4, "a", side=3),
    "strided": lambda: chain().conv(4, "a", side=3, stride=2),
    "dilated": lambda: chain().conv(4, "a", side=3, dilation=2),
    "5×5, strided": lambda: chain().conv(4, "a", side=5, stride=2),
    "depthwise": lambda: chain().conv(4, "a").depthwise("b"),
    "depthwise, strided": lambda: chain().conv(4, "a").depthwise("b", stride=2),
    "depthwise, dilated": lambda: chain().conv(4, "a").depthwise("b", dilation=3),
    "relu": lambda: chain().conv(4, "a").relu(),
    "relu6": lambda: chain().conv(4, "a").clamp(6.0),
    "clamp": lambda: chain().conv(4, "a").clamp(0.5),
    "sigmoid": lambda: unary(ops.sigmoid).conv(2, "last"),
    "sum": lambda: binary(ops.add),
    "difference": lambda: binary(ops.subtract),
    "product": lambda: binary(ops.multiply),
    "quotient": lambda: binary(ops.divide),
    "concatenation": joined,
    "mean": lambda: pooled(by_kernel=False),
    "global pooling": lambda: pooled(by_kernel=True),
    "squeezed and back": squeezed,
    "align_corners": lambda: chain().conv(4, "a").resize(19, 25, "align_corners"),
    "half_pixel": lambda: chain().conv(4, "a").resize(20, 26, "half_pixel"),
    "asymmetric": lambda: chain().conv(4, "a").resize(20, 26, "asymmetric"),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_tensorflow_gives_the_outputs_of_openvino(name: str) -> None:
    model = GRAPHS[name]().model()
    picture = noise(model)
    (found,) = Student(model)(picture)
    assert found.numpy().transpose(0, 3, 1, 2) == pytest.approx(answer(model, picture), abs=1e-4)


@pytest.mark.parametrize("name", GRAPHS)
def test_gradients_reach_the_first_kernel(name: str) -> None:
    model = GRAPHS[name]().model()
    student = Student(model)
    first = next(iter(student.variables.values()))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(student(noise(model))[0]))
    assert np.abs(tape.gradient(loss, first)).max() > 0


def grouped() -> ov.Model:
    made = chain().conv(4, "a")
    kernel = np.ones((2, 2, 2, 1, 1), np.float32)
    made.value = ops.group_convolution(made.value, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    made.value.set_friendly_name("pairs")
    return made.model()


def windowed() -> ov.Model:
    made = chain().conv(4, "a")
    made.value = ops.avg_pool(made.value, [1, 1], [0, 0], [0, 0], [2, 2], True)
    made.value.set_friendly_name("window")
    return made.model()


def nearest() -> ov.Model:
    made = chain().conv(4, "a")
    made.value = ops.interpolate(made.value, np.array([20, 26]), "nearest", "sizes", axes=np.array([2, 3]))
    made.value.set_friendly_name("large")
    return made.model()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (grouped, "^can't train this graph: pairs has groups of several channels$"),
        (windowed, "^can't train this graph: window pools windows, not the whole picture$"),
        (nearest, "^can't train this graph: large resizes by nearest, half_pixel$"),
    ],
)
def test_an_operation_that_cannot_be_trained_is_refused_by_name(make, says: str) -> None:
    model = make()
    with pytest.raises(InputError, match=says):
        Student(model)(noise(model))


def test_a_tensor_can_be_arranged_in_any_order_of_axes() -> None:
    plain = tf.constant(np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4))
    rows = ArrangedTensor(tf.transpose(plain, NHWC), NHWC)
    assert np.array_equal(rows.arrange((0, 1, 2, 3)), plain)
    assert np.array_equal(rows.arrange(NHWC), tf.transpose(plain, NHWC))
    assert np.array_equal(ArrangedTensor(plain).arrange(NHWC), tf.transpose(plain, NHWC))
    assert [rows.find_axis(axis) for axis in (0, 1, 2, 3, -1)] == [0, 3, 1, 2, 2]


def test_missing_axes_are_added_in_front() -> None:
    scale = ArrangedTensor(tf.constant([1.0, 2.0]), (0,))
    assert ArrangedTensor(scale.tensor).arrange((0, 1, 2, 3)).shape == (1, 1, 1, 2)


@pytest.mark.parametrize("step", [1.0, 0.25])
def test_rounding_passes_gradients_unchanged(step: float) -> None:
    values = tf.constant([0.1, 0.4, -0.7, 3.3])
    with tf.GradientTape() as tape:
        tape.watch(values)
        found = round_to(values, step)
    assert np.allclose(found / step, np.round(found / step))
    assert np.abs(found - values).max() <= step / 2 + 1e-6
    assert np.array_equal(tape.gradient(found, values), np.ones(4))
