"""A graph's own 8-bit weights, in the form that 8-bit kernels take.

TFLite and training for 8 bits give weights a zero point. OpenVINO has no kernels for that, and computes such layers in
floats. Whole numbers from −127 to 127 without a zero point mean the same wherever a channel's values reach no further
than 127 steps from zero; a channel that does gets coarser steps of its own.
"""

from dataclasses import dataclass

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import CONVOLUTIONS, compute_constants, read_constant

MOST = 127  # of signed bytes, without the one that has no counterpart above zero
_PASSED = frozenset({"Convert", "Subtract", "Multiply", "Reshape", "Transpose", "Unsqueeze", "FakeQuantize"})


@dataclass(frozen=True)
class Recoding:
    """How many layers were recoded, of how many; how many channels those have, and how many kept their values."""

    layers: int
    of: int
    channels: int
    exact: int


@dataclass(frozen=True)
class StoredWeights:
    """A convolution whose kernel is stored in 8 bits, and the steps of that, one or one for each output channel."""

    node: ov.Node
    steps: np.ndarray


def recode_weights(model: ov.Model, most: int = MOST, largest_error: float = 1.0) -> Recoding:
    """Store the convolutions' 8-bit kernels as signed bytes from −``most`` to ``most``, in place, without zero points.

    largest_error: of a kernel, squared, as a share of its own square; layers that it would exceed stay as they are.
    Raises InputError where none has a zero point, or all would exceed that.
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
    """The kernel as signed bytes, and a step for each of its channels, of as many dimensions.

    steps: of the kernel's values as they are, one or one for each output channel. grouped: whether the first two sides
    are groups and channels in a group, rather than the first one alone channels.
    """
    axes = tuple(range(2 if grouped else 1, kernel.ndim))
    reach = np.abs(kernel).max(axis=axes, keepdims=True)
    own = steps.reshape(-1, *[1] * (kernel.ndim - 1)) if steps.size > 1 else steps.reshape([1] * kernel.ndim)
    # A little more than what is stored is rounding of float32, and no reason for coarser steps.
    steps = np.where(reach > own * most * (1 + 1e-4), reach / most, own).astype(np.float32)
    return np.clip(np.rint(kernel / steps), -most, most).astype(np.int8), steps


def _find_stored_weights(node: ov.Node) -> StoredWeights | None:
    """The convolution's weights, where they are stored in 8 bits with a zero point."""
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
    """The weights, where they have a zero point and their steps are one or one for each output channel."""
    outputs = int(node.input_value(1).get_shape()[0])
    return StoredWeights(node, steps.ravel()) if shifted and steps.size in (1, outputs) else None
