"""Preprocessing inside an OpenVINO graph: pixel format, colour order, mean and scale.

The order of channels, and scales that differ between channels, are folded into the first convolution's kernel. The
remaining operations, one mean and one scale, are handled by 8-bit kernels themselves.
"""

from typing import Literal, TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.layers import (
    NHWC_TO_NCHW,
    compute_constants,
    find_only_reader,
    is_constant,
    read_constant,
    replace_constant,
)
from danmatte_workbench.graph.surgery import NAMESPACE

Colour: TypeAlias = Literal["RGB", "BGR"]
Pixels: TypeAlias = Literal["RGB", "BGR", "NV12"]
INPUT = "image"
BYTE = 255
_FORMATS = {"RGB": ColorFormat.RGB, "BGR": ColorFormat.BGR, "NV12": ColorFormat.NV12_SINGLE_PLANE}
_AFFINE = frozenset({"Convert", "Subtract", "Multiply", "Transpose", "FakeQuantize"})


def embed_normalisation(model: ov.Model, *, colour: Colour, mean: tuple[float, ...], scale: tuple[float, ...]) -> None:
    """Change the input from floats in the graph's own layout to (1, H, W, 3) uint8 RGB, in place.

    ``colour``, ``mean`` and ``scale`` are what the first convolution expects: (pixel − mean) / scale in that order.
    Raises InputError for a graph whose input isn't a picture.
    """
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) != 1 or shape.rank.is_dynamic or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise InputError(f"expected an input of shape (1, H, W, 3), found {shape}")
    channels_first = shape[3] != 3
    readers = list(model.get_parameters()[0].output(0).get_target_inputs())
    convolution = _find_sole_convolution(readers)
    height, width = (shape[2], shape[3]) if channels_first else (shape[1], shape[2])
    pixels = ops.parameter(ov.PartialShape([shape[0], height, width, 3]), np.uint8, name=INPUT)
    values = ops.convert(pixels, "f32")
    if convolution is not None:
        mean, scale = _fold_into_kernel(convolution, colour, mean, scale)
    elif colour == "BGR":
        values = ops.gather(values, np.array([2, 1, 0]), np.array(3))
    if any(mean):
        values = ops.subtract(values, _to_constant(mean))
    if any(factor != 1 for factor in scale):
        values = ops.multiply(values, _to_constant(tuple(1 / factor for factor in scale)))
    if channels_first:
        values = ops.transpose(values, np.array(NHWC_TO_NCHW))
    for reader in readers:
        reader.replace_source_output(values.output(0))
    model.replace_parameter(0, pixels)
    model.validate_nodes_and_infer_types()
    model.input(0).set_names({INPUT})


def set_pixel_format(model: ov.Model, pixels: Pixels) -> ov.Model:
    """Return a graph of uint8 RGB pictures for another format: BGR, or NV12 as one tensor (1, H·3/2, W, 1).

    NV12 is BT.601 of limited range. Raises InputError if the graph takes something else, or if NV12 has odd sizes.
    """
    port = model.input(0)
    shape = port.get_partial_shape()
    given = read_pixel_format(model)
    if given != "RGB" or port.get_element_type() != ov.Type.u8 or len(shape) != 4 or shape[3] != 3:
        raise InputError(f"expected a graph that takes uint8 RGB of shape (1, H, W, 3), found {given} {shape}")
    sides = [side.get_length() for side in list(shape)[1:3] if side.is_static]
    if pixels == "NV12" and any(side % 2 for side in sides):
        raise InputError(
            f"NV12 needs even height and width, found {'×'.join(map(str, sides))}; reshape the graph first"
        )
    processor = PrePostProcessor(model)
    entry = processor.input()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(_FORMATS[pixels])
    entry.model().set_layout(ov.Layout("NHWC"))
    entry.preprocess().convert_color(ColorFormat.RGB)
    model = processor.build()
    model.input(0).set_names({INPUT})
    model.set_rt_info(pixels, [NAMESPACE, "pixels"])
    return model


def read_pixel_format(model: ov.Model) -> str:
    """Return the pixel format that the preprocess step stored in the graph; RGB if nothing is stored."""
    path = [NAMESPACE, "pixels"]
    return str(model.get_rt_info(path).astype(str)) if model.has_rt_info(path) else "RGB"


def feed_bytes(model: ov.Model) -> bool:
    """Let a quantized graph's first convolution read the bytes directly, in place; return False if it can't.

    A picture already has 8 bits, so quantizing it again only costs a pass over all pixels and adds rounding errors.
    8-bit kernels support one whole zero point. The mean is therefore rounded, and the bias corrects the difference,
    except at padded places.
    """
    chain = _find_chain_to_convolution(model)
    quantizer = next((node for node in chain if node.get_type_name() == "FakeQuantize"), None)
    if quantizer is None:
        return False
    direct = _unfold_quantizer(quantizer)
    if direct is None:
        return False
    quantizer.output(0).replace(direct)
    if direct != quantizer.input_value(0):
        chain = [direct.get_node().input_value(0).get_node(), direct.get_node(), *chain]
    subtraction = next((node for node in chain if node.get_type_name() == "Subtract"), None)
    convolution = chain[-1]
    # NNCF compresses constants, so there may be a Convert after the bias, in which case `find_bias` wouldn't find it.
    reader = find_only_reader(convolution)
    bias = reader if reader is not None and reader.get_type_name() == "Add" else None
    if bias is not None and bias.input_value(1).get_node().get_type_name() not in ("Constant", "Convert"):
        bias = None
    if subtraction is not None and bias is not None and is_constant(subtraction.input_value(1)):
        points = subtraction.input_value(1).get_node().get_data()
        rounded = np.clip(np.floor(points.mean() + 0.5), 0, 255).reshape((1,) * points.ndim)
        multiplication = next((node for node in chain if node.get_type_name() == "Multiply"), None)
        factor = multiplication.input_value(1).get_node().get_data() if multiplication else np.float32(1)
        moved = np.broadcast_to(((rounded - points) * factor).reshape(-1), 3)
        kernel, added = compute_constants([convolution.input_value(1), bias.input_value(1)])
        shift = np.einsum("oikl,i->o", kernel, moved).reshape(1, -1, 1, 1)
        replace_constant(subtraction, rounded.astype(points.dtype))
        replace_constant(bias, (added + shift).astype(np.float32))
    model.validate_nodes_and_infer_types()
    return True


def _unfold_quantizer(quantizer: ov.Node) -> ov.Output | None:
    """Return a value that equals the output of a quantizer of bytes without its rounding; None if that isn't possible.

    A TFLite quantizer takes bytes and returns the values that they represent. It is replaced by a subtraction and a
    multiplication.
    """
    ends = [read_constant(quantizer.input_value(port)) for port in range(1, 5)]
    if any(end is None or end.size != 1 for end in ends):
        return quantizer.input_value(0) if _keeps_values(ends) else None
    low, high, least, most = (float(end.item()) for end in ends if end is not None)
    if np.isclose(low, least) and np.isclose(high, most):
        return quantizer.input_value(0)
    if (low, high, quantizer.get_attributes()["levels"]) != (0, BYTE, BYTE + 1):
        return None
    step = (most - least) / BYTE
    moved = ops.subtract(quantizer.input_value(0), np.float32(-least / step))
    return ops.multiply(moved, np.float32(step)).output(0)


def _keeps_values(ends: list[np.ndarray | None]) -> bool:
    low, high, least, most = ends
    if low is None or high is None or least is None or most is None:
        return False
    return bool(np.allclose(low, least) and np.allclose(high, most))


def _find_chain_to_convolution(model: ov.Model) -> list[ov.Node]:
    """Return the nodes on the only path from a uint8 input to a convolution, including it; empty without one."""
    parameter = model.get_parameters()[0]
    if parameter.get_element_type() != ov.Type.u8:
        return []
    chain, port = [], parameter.output(0)
    while len(readers := list(port.get_target_inputs())) == 1:
        node = readers[0].get_node()
        chain.append(node)
        if node.get_type_name() == "Convolution":
            return chain
        if node.get_type_name() not in _AFFINE or readers[0].get_index() != 0:
            return []
        port = node.output(0)
    return []


def _find_sole_convolution(readers: list[ov.Input]) -> ov.Node | None:
    """Return the convolution with a constant kernel that is the picture's only reader; None otherwise."""
    while len(readers) == 1:
        node = readers[0].get_node()
        if node.get_type_name() == "Convolution":
            return node if is_constant(node.input_value(1)) else None
        if node.get_type_name() != "Transpose":
            return None
        readers = list(node.output(0).get_target_inputs())
    return None


def _fold_into_kernel(
    convolution: ov.Node, colour: Colour, mean: tuple[float, ...], scale: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Fold colour order and relative scales into the kernel; return the remaining mean and scale.

    The geometric mean of the scales remains outside, so that the weights keep their magnitude for training and
    quantizing.
    """
    kernel = convolution.input_value(1).get_node().get_data()
    common = scale[0] if len(set(scale)) == 1 else float(np.exp(np.mean(np.log(np.abs(scale)))))
    kernel = kernel * (common / np.array(scale)).astype(kernel.dtype)[None, :, None, None]
    if colour == "BGR":
        kernel, mean = kernel[:, ::-1], mean[::-1]
    replace_constant(convolution, kernel)
    return mean, (common,)


def _to_constant(values: tuple[float, ...]) -> ov.Node:
    """Return a constant with a single number if all channels have the same, so that 8-bit kernels can use it."""
    same = len(set(values)) == 1
    return ops.constant(np.float32(values[0]) if same else np.array(values, np.float32).reshape(1, 1, 1, 3))
