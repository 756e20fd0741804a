"""Queries and changes of single nodes of an OpenVINO graph: readers, constants, and the bias of a convolution."""

from collections.abc import Sequence

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.runtimes.openvino import compile_model

CONVOLUTIONS = frozenset({"Convolution", "GroupConvolution"})
NCHW_TO_NHWC, NHWC_TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def find_readers(node: ov.Node) -> list[ov.Node]:
    """Return the nodes that read the node's first output, one entry for each port."""
    return [port.get_node() for port in node.output(0).get_target_inputs()]


def find_only_reader(node: ov.Node) -> ov.Node | None:
    """Return the only node that reads the node's first output; None if there are several or none."""
    readers = find_readers(node)
    return readers[0] if len(readers) == 1 else None


def is_constant(output: ov.Output) -> bool:
    """Return whether the value is stored in the graph."""
    return bool(output.get_node().get_type_name() == "Constant")


def read_constant(output: ov.Output) -> np.ndarray | None:
    """Return the value if it is stored in the graph; None if it is computed."""
    return np.array(output.get_node().get_data()) if is_constant(output) else None


def replace_constant(node: ov.Node, values: np.ndarray, port: int = 1) -> None:
    """Set the constant that the node reads at the port, in place; port 1 is a kernel or a bias."""
    constant = ops.constant(np.ascontiguousarray(values))
    node.input(port).replace_source_output(constant.output(0))


def is_bias(value: ov.Output, channels: int) -> bool:
    """Return whether the value is stored, with one number for each channel of an NCHW map or one for all channels."""
    shape = list(value.get_shape())
    numbers = int(np.prod(shape))
    return is_constant(value) and (numbers == 1 or (numbers == channels and shape[-3:-2] == [channels]))


def find_bias(convolution: ov.Node) -> ov.Node | None:
    """Return the addition of a bias that is the convolution's only reader; None if there is none."""
    reader = find_only_reader(convolution)
    if reader is None or reader.get_type_name() != "Add":
        return None
    return reader if is_bias(reader.input_value(1), int(convolution.get_output_shape(0)[1])) else None


def list_kernels(model: ov.Model) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the kernel and bias of every convolution, float32, in the graph's order.

    Kernels are in TensorFlow's order: (rows, columns, inputs, outputs), or (rows, columns, channels, 1) for depthwise
    convolutions. The bias of a convolution without one is zeros.
    """
    found = []
    for node in model.get_ordered_ops():
        if node.get_type_name() not in CONVOLUTIONS:
            continue
        kernel = np.array(node.input_value(1).get_node().get_data(), np.float32)
        # OpenVINO has (outputs, inputs, rows, columns), or (channels, 1, 1, rows, columns) for depthwise ones.
        depthwise = node.get_type_name() == "GroupConvolution"
        kernel = kernel[:, 0].transpose(2, 3, 0, 1) if depthwise else kernel.transpose(2, 3, 1, 0)
        bias = find_bias(node)
        values = np.zeros(1) if bias is None else bias.input_value(1).get_node().get_data()
        found.append((kernel, np.full(node.get_output_shape(0)[1], values.ravel(), np.float32)))
    return found


def index_by_name(model: ov.Model) -> dict[str, ov.Node]:
    """Return all nodes by their friendly names."""
    return {node.get_friendly_name(): node for node in model.get_ordered_ops()}


def compute_constants(outputs: Sequence[ov.Output]) -> list[np.ndarray]:
    """Return the values of outputs that depend on no input, computed in float32."""
    compiled = compile_model(ov.Model([ops.result(output) for output in outputs], [], "constants"))
    results = compiled.create_infer_request().infer({})
    return [np.array(results[number]) for number in range(len(outputs))]


def extract(model: ov.Model, outputs: Sequence[ov.Output], name: str = "part") -> ov.Model:
    """Return the graph up to the given outputs, in this order; it shares the graph's nodes."""
    return ov.Model([ops.result(output) for output in outputs], model.get_parameters(), name)


def find_logits(model: ov.Model) -> ov.Node:
    """Return the node, NCHW, that feeds the sigmoid at the graph's end; without a sigmoid, the last node."""
    last = model.output(0).get_node().input_value(0).get_node()
    while last.get_type_name() in ("Transpose", "Sigmoid"):
        last = last.input_value(0).get_node()
    return last
