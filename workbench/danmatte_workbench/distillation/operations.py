"""OpenVINO's operations implemented in TensorFlow, with gradients."""

from collections.abc import Callable
from dataclasses import dataclass

import openvino as ov

from danmatte_workbench.errors import InputError
from danmatte_workbench.processes.silence import silence_stderr

with silence_stderr():
    import tensorflow as tf

NHWC = (0, 2, 3, 1)  # the order of axes that TensorFlow's CPU kernels need; OpenVINO's is NCHW
_PLAIN = (0, 1, 2, 3)


@dataclass(frozen=True)
class ArrangedTensor:
    """A value of the graph in TensorFlow: ``tensor`` is the graph's own value, transposed by ``order``.

    A transpose in the graph therefore costs nothing, and convolutions get NHWC without transposes around them.
    """

    tensor: tf.Tensor
    order: tuple[int, ...] = _PLAIN

    def arrange(self, order: tuple[int, ...]) -> tf.Tensor:
        """Return the tensor in another order; missing axes are added in front with size 1, as in broadcasting."""
        tensor, rank = self.tensor, self.tensor.shape.rank
        if rank < len(order):
            tensor = tf.reshape(tensor, [1] * (len(order) - rank) + tensor.shape.as_list())
        if self.order == order:
            return tensor
        plain = [self.order.index(axis) for axis in range(len(order))]
        return tf.transpose(tensor, [plain[axis] for axis in order])

    def find_axis(self, axis: int) -> int:
        """Return the position of the graph's own axis in ``tensor``."""
        return self.order.index(axis % len(self.order))


Operation = Callable[[ov.Node, list[ArrangedTensor]], ArrangedTensor]


def round_to(values: tf.Tensor, step: tf.Tensor | float) -> tf.Tensor:
    """Round to multiples of ``step``; gradients pass through unchanged (Bengio et al., 2013)."""
    return values + tf.stop_gradient(tf.round(values / step) * step - values)


def convolve(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Apply a convolution over all channels; kernels are (outputs, inputs, height, width)."""
    kernel = tf.transpose(inputs[1].tensor, (2, 3, 1, 0))
    image, padding = _pad(node, inputs[0].arrange(NHWC), kernel.shape[:2])
    attributes = node.get_attributes()
    kernel = tf.cast(kernel, image.dtype)
    answer = tf.nn.conv2d(image, kernel, attributes["strides"], padding, dilations=attributes["dilations"])
    return ArrangedTensor(answer, NHWC)


def convolve_groups(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Apply a depthwise convolution. Raises InputError for groups of several channels."""
    kernel = inputs[1].tensor  # (groups, outputs, inputs, height, width)
    if kernel.shape[2] != 1:
        raise InputError(f"can't train this graph: {node.get_friendly_name()} has groups of several channels")
    kernel = tf.transpose(kernel[:, :, 0], (2, 3, 0, 1))
    image, padding = _pad(node, inputs[0].arrange(NHWC), kernel.shape[:2])
    attributes = node.get_attributes()
    strides = [1, *attributes["strides"], 1]
    kernel = tf.cast(kernel, image.dtype)
    answer = tf.nn.depthwise_conv2d(image, kernel, strides, padding, dilations=attributes["dilations"])
    return ArrangedTensor(answer, NHWC)


def _pad(node: ov.Node, image: tf.Tensor, kernel: tf.TensorShape) -> tuple[tf.Tensor, str]:
    """Return the image and TensorFlow's padding: ``SAME`` if it is the node's padding, else an image padded explicitly.

    If a stride doesn't divide the size, ``SAME`` pads less, and more at the end, so it differs from many graphs'
    padding.
    """
    attributes = node.get_attributes()
    wanted = list(zip(attributes["pads_begin"], attributes["pads_end"], strict=True))
    sizes = node.input_value(0).get_shape()[2:]
    same = []
    for size, side, stride, dilation in zip(sizes, kernel, attributes["strides"], attributes["dilations"], strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (side - 1) * dilation + 1 - size)
        same.append((total // 2, total - total // 2))
    if wanted == same:
        return image, "SAME"
    return tf.pad(image, [(0, 0), *wanted, (0, 0)]), "VALID"


def resize(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Apply a bilinear resize. Raises InputError for any other mode."""
    attributes = node.get_attributes()
    axes = node.input_value(2).get_node().get_data().tolist() if node.get_input_size() > 2 else None
    height, width = node.get_output_shape(0)[2:] if axes == [2, 3] else node.get_output_shape(0)[1:3]
    order = NHWC if axes == [2, 3] else _PLAIN
    mode = attributes["coordinate_transformation_mode"]
    if attributes["mode"] not in ("linear", "linear_onnx") or mode not in ("align_corners", "asymmetric", "half_pixel"):
        raise InputError(f"can't train this graph: {node.get_friendly_name()} resizes by {attributes['mode']}, {mode}")
    # tf.image.resize supports half pixels only, but DeepLab's resizes are align_corners.
    answer = tf.raw_ops.ResizeBilinear(
        images=inputs[0].arrange(order),
        size=[height, width],
        align_corners=mode == "align_corners",
        half_pixel_centers=mode == "half_pixel",
    )
    return ArrangedTensor(tf.cast(answer, inputs[0].tensor.dtype), order)


def transpose(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Apply a transpose, which only changes the order of the axes' names."""
    order = node.input_value(1).get_node().get_data().tolist()
    return ArrangedTensor(inputs[0].tensor, tuple(order.index(axis) for axis in inputs[0].order))


def concatenate(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Concatenate the values."""
    order = inputs[0].order
    axis = inputs[0].find_axis(int(node.get_attributes()["axis"]))
    return ArrangedTensor(tf.concat([item.arrange(order) for item in inputs], axis), order)


def reduce_mean(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Compute the mean over constant axes, which are kept with size 1."""
    axes = [inputs[0].find_axis(int(axis)) for axis in node.input_value(1).get_node().get_data().reshape(-1)]
    return ArrangedTensor(tf.reduce_mean(inputs[0].tensor, axes, keepdims=True), inputs[0].order)


def pool(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Compute the mean over the whole picture. Raises InputError for pooling over windows."""
    attributes = node.get_attributes()
    if list(attributes["kernel"]) != list(node.input_value(0).get_shape()[2:]) or any(attributes["pads_begin"]):
        raise InputError(f"can't train this graph: {node.get_friendly_name()} pools windows, not the whole picture")
    return ArrangedTensor(tf.reduce_mean(inputs[0].arrange(NHWC), [1, 2], keepdims=True), NHWC)


def reshape(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Squeeze, unsqueeze or reshape; the first axis is the batch and stays."""
    plain = inputs[0].arrange(tuple(range(len(inputs[0].order))))
    shape = list(node.get_output_shape(0))
    return ArrangedTensor(tf.reshape(plain, [-1, *shape[1:]]), tuple(range(len(shape))))


def clamp(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
    """Limit values to a range."""
    attributes = node.get_attributes()
    low, high = float(attributes["min"]), float(attributes["max"])
    tensor = inputs[0].tensor
    answer = tf.nn.relu6(tensor) if (low, high) == (0, 6) else tf.clip_by_value(tensor, low, high)
    return ArrangedTensor(answer, inputs[0].order)


def _combine(operation: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> Operation:
    """Return an operation on two values, in the order of axes of the map among them."""

    def apply(node: ov.Node, inputs: list[ArrangedTensor]) -> ArrangedTensor:
        first, second = inputs
        order = first.order if first.tensor.shape.rank == 4 else second.order
        return ArrangedTensor(
            operation(first.arrange(order), tf.cast(second.arrange(order), first.tensor.dtype)), order
        )

    return apply


def _map(operation: Callable[[tf.Tensor], tf.Tensor]) -> Operation:
    """Return an operation on each number separately, in any order of axes."""
    return lambda node, inputs: ArrangedTensor(operation(inputs[0].tensor), inputs[0].order)


OPERATIONS: dict[str, Operation] = {
    "Add": _combine(tf.add),
    "AvgPool": pool,
    "Clamp": clamp,
    "Concat": concatenate,
    "Convert": _map(tf.identity),
    "Convolution": convolve,
    "Divide": _combine(tf.divide),
    "GroupConvolution": convolve_groups,
    "Interpolate": resize,
    "Multiply": _combine(tf.multiply),
    "ReduceMean": reduce_mean,
    "Reshape": reshape,
    "Squeeze": reshape,
    "Unsqueeze": reshape,
    "Relu": _map(tf.nn.relu),
    "Sigmoid": _map(tf.sigmoid),
    "Subtract": _combine(tf.subtract),
    "Transpose": transpose,
}
