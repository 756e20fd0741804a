"""Conversion of a graph's own 8-bit weights to the form that 8-bit kernels support.

TFLite and quantization-aware training produce weights with a zero point. OpenVINO has no kernels for these and computes
such layers in floats. Whole numbers from −127 to 127 without a zero point represent the same values if they are within
127 steps from zero. Channels with larger values get coarser steps.
"""

from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import CONVOLUTIONS, compute_constants, read_constant

MOST = 127  # maximum of signed bytes; −128 isn't used, because it has no positive counterpart
_PASSED = frozenset({"Convert", "Subtract", "Multiply", "Reshape", "Transpose", "Unsqueeze", "FakeQuantize"})


@dataclass(frozen=True)
class Recoding:
    """The number of recoded layers, of all layers, of their channels, and of channels whose values didn't change."""

    layers: int
    of: int
    channels: int
    exact: int


@dataclass(frozen=True)
class StoredWeights:
    """A convolution whose kernel is stored in 8 bits, and its quantization steps: one, or one per output channel."""

    node: ov.Node
    steps: np.ndarray


def recode_weights(model: ov.Model, most: int = MOST, largest_error: float = 1.0) -> Recoding:
    """Store the 8-bit kernels of convolutions as signed bytes without zero points, in place.

    most: the bytes are from −``most`` to ``most``.
    largest_error: the maximum squared error of a kernel, as a share of its squared norm; layers above it aren't
        changed.

    Raises InputError if no kernel has a zero point, or if all would exceed the error.
    """
    stored = [found for node in model.get_ordered_ops() if (found := _find_stored_weights(node))]
    if not stored:
        raise InputError("recode: expected weights of 8 bits with a zero point, found none")
    layers = channels = exact = 0
    values = compute_constants([weights.node.input_value(1) for weights in stored])
    for weights, kernel in zip(stored, values, strict=True):
        grouped = weights.node.get_type_name() == "GroupConvolution"
        numbers, steps = recode_kernel(kernel, weights.steps, grouped=grouped, most=most)
        apart = np.abs(numbers * steps - kernel)
        if float(np.square(apart).sum()) > largest_error * float(np.square(kernel).sum()):
            continue
        value = ops.multiply(ops.convert(ops.constant(numbers), "f32"), ops.constant(steps))
        weights.node.input(1).replace_source_output(value.output(0))
        layers += 1
        channels += steps.size
        exact += int((apart.reshape(steps.size, -1).max(axis=1) <= 1e-3 * steps.ravel()).sum())
    if not layers:
        raise InputError(f"recode: all {len(stored)} layers would change by more than {largest_error:g}")
    model.validate_nodes_and_infer_types()
    return Recoding(layers, len(stored), channels, exact)


def recode_kernel(
    kernel: np.ndarray, steps: np.ndarray, *, grouped: bool, most: int = MOST
) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel as signed bytes, and one step for each channel, with as many dimensions.

    steps: the steps of the kernel's present values, one or one per output channel. grouped: whether the first two axes
    are groups and channels in a group, so that both together number the channels.
    """
    axes = tuple(range(2 if grouped else 1, kernel.ndim))
    reach = np.abs(kernel).max(axis=axes, keepdims=True)
    own = steps.reshape(-1, *[1] * (kernel.ndim - 1)) if steps.size > 1 else steps.reshape([1] * kernel.ndim)
    # Values slightly above the maximum are rounding errors of float32, which need no coarser steps.
    steps = np.where(reach > own * most * (1 + 1e-4), reach / most, own).astype(np.float32)
    return np.clip(np.rint(kernel / steps), -most, most).astype(np.int8), steps


def _find_stored_weights(node: ov.Node) -> StoredWeights | None:
    """Return the convolution's weights if they are stored in 8 bits with a zero point; None otherwise."""
    if node.get_type_name() not in CONVOLUTIONS:
        return None
    value, steps, shifted = node.input_value(1).get_node(), np.ones(1, np.float32), False
    while value.get_type_name() in _PASSED:
        if value.get_type_name() == "Multiply":
            found = read_constant(value.input_value(1))
            if found is None:
                return None
            steps = steps * found.astype(np.float32)
        elif value.get_type_name() == "FakeQuantize":
            low, high = (read_constant(value.input_value(port)) for port in (3, 4))
            if low is None or high is None:
                return None
            steps = (high - low).astype(np.float32) / (value.get_attributes()["levels"] - 1)
            shifted = bool(np.any(~np.isclose(low, -high, rtol=0.02)))
            return _fit(node, steps, shifted)
        shifted = shifted or value.get_type_name() == "Subtract"
        value = value.input_value(0).get_node()
    is_byte = value.get_type_name() == "Constant" and value.get_output_element_type(0) in (ov.Type.u8, ov.Type.i8)
    return _fit(node, steps, shifted) if is_byte else None


def _fit(node: ov.Node, steps: np.ndarray, shifted: bool) -> StoredWeights | None:
    """Return the weights if they have a zero point, and one step in all or one per output channel; None otherwise."""
    outputs = int(node.input_value(1).get_shape()[0])
    return StoredWeights(node, steps.ravel()) if shifted and steps.size in (1, outputs) else None
