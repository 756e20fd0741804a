"""An OpenVINO graph that learns: the same operations in TensorFlow, its kernels and biases as variables.

Whatever a network was made with, after conversion it is a dozen kinds of operations; TensorFlow has them all, and
their gradients. So a graph can be taught without its training code.
"""

import copy
from collections.abc import Iterator, Mapping

import numpy as np
import openvino as ov
import tensorflow as tf
from openvino import opset13 as ops

from danmatte_workbench.distillation.operations import NHWC, OPERATIONS, Held, rounded
from danmatte_workbench.errors import InputError

CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})
BIAS_PACE = 0.1
SMALLEST = 0.1  # of a kernel's size, taken for channels that are smaller


class Student:
    """The graph as a function of pictures, and its variables by node name.

    ``watched`` names nodes whose answers are wanted beside the first output. Raises InputError for an operation that
    it doesn't know.
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
        self._logits = before_decision(model)
        unknown = sorted({node.get_type_name() for node in self._nodes} - OPERATIONS.keys() - {"Parameter"})
        if unknown:
            raise InputError(f"can't teach this graph: no gradients for {', '.join(unknown)}")
        # Variables are shares of each channel's own size: folded batch norms leave kernels whose sizes differ a
        # hundredfold from channel to channel, and one step must be small for all of them.
        found = {node.get_friendly_name(): values for node, values in _weights(self._nodes)}
        self._units = {name: _size(values) for name, values in found.items()}
        self.paces = {node.get_friendly_name(): _pace(node, values) for node, values in _weights(self._nodes)}
        self.variables = {name: tf.Variable(values / self._units[name]) for name, values in found.items()}

    def __call__(self, pictures: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The first output's logits (what enters its sigmoid, if one is there), then what is watched, float32 NHWC."""
        held: dict[str, Held] = {}
        for node in self._nodes:
            name = node.get_friendly_name()
            if node.get_type_name() == "Parameter":
                held[name] = Held(tf.cast(pictures, self._dtype))
                continue
            inputs = [self._input(node, number, held) for number in range(node.get_input_size())]
            if self._eight_bits and (node.get_type_name() in CONVOLUTIONS or is_sum(node)):
                inputs = [self._rounded(node, number, held_input) for number, held_input in enumerate(inputs)]
            held[name] = OPERATIONS[node.get_type_name()](node, inputs)
        names = (self._logits.get_friendly_name(), *self.watched)
        return tuple(tf.cast(held[name].like(NHWC), tf.float32) for name in names)

    def in_eight_bits(self) -> "Student":
        """The same student, with the same variables, where kernels and maps are rounded as an INT8 graph rounds them.

        So it learns to live with that (Jacob et al., CVPR 2018).
        """
        same = copy.copy(self)
        same._eight_bits = True
        return same

    def _input(self, node: ov.Node, number: int, held: Mapping[str, Held]) -> Held:
        source = node.input_value(number).get_node()
        if source.get_type_name() != "Constant":
            return held[source.get_friendly_name()]
        variable = self.variables.get(node.get_friendly_name()) if number == 1 else None
        if variable is None:
            return Held(tf.constant(source.get_data()))
        return Held(variable * self._units[node.get_friendly_name()])

    def _rounded(self, node: ov.Node, number: int, held: Held) -> Held:
        """Kernels by output channel, symmetrically; maps as a whole, from nought where nothing is below it."""
        source = node.input_value(number).get_node()
        values = held.tensor
        if source.get_type_name() == "Constant":
            most = tf.reduce_max(tf.abs(values), axis=range(1, values.shape.rank), keepdims=True)
            return Held(rounded(values, tf.maximum(most, 1e-9) / 127), held.order)
        return Held(rounded(values, tf.cast(_step(source, values), values.dtype)), held.order)

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

    def learned(self) -> dict[str, np.ndarray]:
        """The variables' values, by node name."""
        return {name: variable.numpy() * self._units[name] for name, variable in self.variables.items()}


def put(model: ov.Model, weights: Mapping[str, np.ndarray]) -> None:
    """Give the graph's nodes these kernels and biases, in place."""
    for node in model.get_ordered_ops():
        if (values := weights.get(node.get_friendly_name())) is not None:
            node.input(1).replace_source_output(ops.constant(np.ascontiguousarray(values)).output(0))


def _size(values: np.ndarray) -> np.ndarray:
    """The root mean square of a kernel's values for each output channel, of a bias's for all, to multiply with."""
    axes = tuple(range(1, values.ndim)) if values.shape[0] > 1 else None
    size = np.sqrt(np.square(values).mean(axis=axes, keepdims=True))
    return np.asarray(np.maximum(size, SMALLEST * np.sqrt(np.square(values).mean()) + 1e-6), np.float32)


def _pace(node: ov.Node, values: np.ndarray) -> float:
    """How fast a variable may learn beside others: the more inputs a kernel sums, the slower."""
    inputs = np.prod(values.shape[2 if node.get_type_name() == "GroupConvolution" else 1 :])
    return BIAS_PACE if node.get_type_name() == "Add" else float(1 / np.sqrt(inputs))


def _step(source: ov.Node, values: tf.Tensor) -> tf.Tensor:
    """How far apart the 8-bit values of what ``source`` made lie; below nought only where it can be there."""
    if source.get_type_name() == "Clamp":
        return tf.constant(float(source.get_attributes()["max"]) / 255)
    positive = source.get_type_name() in ("Relu", "Convert")
    return tf.maximum(tf.reduce_max(tf.abs(values)), 1e-6) / (255 if positive else 127)


def is_sum(node: ov.Node) -> bool:
    """Whether it adds two maps, as the end of a residual block does."""
    kinds = [value.get_node().get_type_name() for value in node.input_values()]
    return node.get_type_name() == "Add" and "Constant" not in kinds and len(node.get_output_shape(0)) == 4


def before_decision(model: ov.Model) -> ov.Node:
    """The node whose answer, NCHW, enters the sigmoid at the graph's end; what ends the graph, where none is there."""
    last = model.output(0).get_node().input_value(0).get_node()
    while last.get_type_name() in ("Transpose", "Sigmoid"):
        last = last.input_value(0).get_node()
    return last


def _weights(nodes: list[ov.Node]) -> Iterator[tuple[ov.Node, np.ndarray]]:
    """Kernels of convolutions, and the biases added to them: what a lesson may change."""
    for node in nodes:
        kind = node.get_type_name()
        if kind not in ("Convolution", "GroupConvolution", "Add"):
            continue
        constant = node.input_value(1).get_node()
        if constant.get_type_name() != "Constant" or constant.get_element_type() != ov.Type.f32:
            continue
        after_kernel = node.input_value(0).get_node().get_type_name() in CONVOLUTIONS
        if kind != "Add" or after_kernel:
            yield node, constant.get_data()
