"""A trainable copy of an OpenVINO graph: the same operations in TensorFlow, with kernels and biases as variables.

After conversion, a graph of any framework consists of about a dozen kinds of operations. TensorFlow has all of them,
with gradients. So a graph can be trained without its training code.
"""

import copy
from collections.abc import Mapping

import numpy as np
import openvino as ov

from danmatte_workbench.distillation.operations import NHWC, OPERATIONS, ArrangedTensor, round_to
from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import CONVOLUTIONS, find_logits, is_constant, replace_constant
from danmatte_workbench.processes.silence import silence_stderr

with silence_stderr():
    import tensorflow as tf

BIAS_PACE = 0.1
SMALLEST = 0.1  # minimum size of a channel, as a share of the whole kernel's size


class Student:
    """The graph as a function of pictures, and its variables by node name.

    watched: names of nodes whose outputs are returned after the first output.
    paces: factors of the learning rate, by variable.

    Raises InputError for an operation without gradients here.
    """

    def __init__(
        self,
        model: ov.Model,
        watched: tuple[str, ...] = (),
        dtype: tf.DType = tf.float32,
    ) -> None:
        self._dtype = dtype
        self._eight_bits = False
        self._model = model
        self._nodes = [node for node in model.get_ordered_ops() if node.get_type_name() not in ("Constant", "Result")]
        self.watched = watched
        self._logits = find_logits(model)
        unknown = sorted({node.get_type_name() for node in self._nodes} - OPERATIONS.keys() - {"Parameter"})
        if unknown:
            raise InputError(f"can't train this graph: no gradients for {', '.join(unknown)}")
        # Variables are relative to each channel's size: with folded batch norms, sizes differ a hundredfold between
        # channels, and a step must be small for all of them. (Absolute steps increased the loss at first, and were
        # still worse than relative ones after 200 steps.)
        self._units: dict[str, np.ndarray] = {}
        self.paces: dict[str, float] = {}
        self.variables: dict[str, tf.Variable] = {}
        for node in self._nodes:
            if (values := read_weights(node)) is not None:
                name = node.get_friendly_name()
                self._units[name] = measure_size(values)
                # Kernels with more inputs learn more slowly, because all their weights may change in one direction.
                inputs = np.prod(values.shape[2 if node.get_type_name() == "GroupConvolution" else 1 :])
                self.paces[name] = BIAS_PACE if node.get_type_name() == "Add" else float(1 / np.sqrt(inputs))
                self.variables[name] = tf.Variable(values / self._units[name])

    def __call__(self, pictures: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Return the logits (the input of the output's sigmoid, if any), then the watched nodes, float32 NHWC."""
        held: dict[str, ArrangedTensor] = {}
        for node in self._nodes:
            name = node.get_friendly_name()
            if node.get_type_name() == "Parameter":
                held[name] = ArrangedTensor(tf.cast(pictures, self._dtype))
                continue
            inputs = []
            for number, value in enumerate(node.input_values()):
                if not is_constant(value):
                    inputs.append(held[value.get_node().get_friendly_name()])
                elif number == 1 and name in self.variables:
                    inputs.append(ArrangedTensor(self.variables[name] * self._units[name]))
                else:
                    inputs.append(ArrangedTensor(tf.constant(value.get_node().get_data())))
            if self._eight_bits and (node.get_type_name() in CONVOLUTIONS or is_sum(node)):
                inputs = [round_input(node, number, value) for number, value in enumerate(inputs)]
            held[name] = OPERATIONS[node.get_type_name()](node, inputs)
        names = (self._logits.get_friendly_name(), *self.watched)
        return tuple(tf.cast(held[name].arrange(NHWC), tf.float32) for name in names)

    def simulate_eight_bits(self) -> "Student":
        """Return a student with the same variables that rounds kernels and maps as an INT8 graph does.

        Training it adapts the weights to the rounding (Jacob et al., CVPR 2018).
        """
        same = copy.copy(self)
        same._eight_bits = True
        return same

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its pictures."""
        _, height, width, _ = self._model.input(0).get_shape()
        return height, width

    @property
    def places(self) -> tuple[int, int]:
        """Rows and columns of its logits."""
        _, _, rows, columns = self._logits.get_output_shape(0)
        return rows, columns

    def read_weights(self) -> dict[str, np.ndarray]:
        """Return the present kernels and biases, by node name."""
        return {name: variable.numpy() * self._units[name] for name, variable in self.variables.items()}


def write_weights(model: ov.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Set these kernels and biases in the graph, in place."""
    for node in model.get_ordered_ops():
        if (values := weights.get(node.get_friendly_name())) is not None:
            replace_constant(node, values)


def read_weights(node: ov.Node) -> np.ndarray | None:
    """Return the values that distillation may change: a convolution's float32 kernel or its bias; else None."""
    kind = node.get_type_name()
    if kind not in CONVOLUTIONS and kind != "Add":
        return None
    constant = node.input_value(1).get_node()
    if constant.get_type_name() != "Constant" or constant.get_element_type() != ov.Type.f32:
        return None
    if kind == "Add" and node.input_value(0).get_node().get_type_name() not in CONVOLUTIONS:
        return None
    return np.asarray(constant.get_data())


def measure_size(values: np.ndarray) -> np.ndarray:
    """Return the root mean square of the values: for each output channel of a kernel, and of a bias as a whole.

    Its shape can be broadcast to the values.
    """
    axes = tuple(range(1, values.ndim)) if values.shape[0] > 1 else None
    size = np.sqrt(np.square(values).mean(axis=axes, keepdims=True))
    return np.asarray(np.maximum(size, SMALLEST * np.sqrt(np.square(values).mean()) + 1e-6), np.float32)


def round_input(node: ov.Node, number: int, value: ArrangedTensor) -> ArrangedTensor:
    """Return an input of a convolution or sum, rounded as in an INT8 graph.

    Kernels are rounded symmetrically by output channel; maps as a whole, from 0 up if they can't be negative.
    """
    source, tensor = node.input_value(number).get_node(), value.tensor
    if source.get_type_name() == "Constant":
        most = tf.reduce_max(tf.abs(tensor), axis=range(1, tensor.shape.rank), keepdims=True)
        return ArrangedTensor(round_to(tensor, tf.maximum(most, 1e-9) / 127), value.order)
    if source.get_type_name() == "Clamp":
        step = tf.constant(float(source.get_attributes()["max"]) / 255)
    else:
        positive = source.get_type_name() in ("Relu", "Convert")
        step = tf.maximum(tf.reduce_max(tf.abs(tensor)), 1e-6) / (255 if positive else 127)
    return ArrangedTensor(round_to(tensor, tf.cast(step, tensor.dtype)), value.order)


def is_sum(node: ov.Node) -> bool:
    """Return whether the node adds two maps, as the end of a residual block does."""
    has_constant = any(is_constant(value) for value in node.input_values())
    return node.get_type_name() == "Add" and not has_constant and len(node.get_output_shape(0)) == 4
