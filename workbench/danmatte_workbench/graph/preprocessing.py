"""Pixels in, as cameras and decoders give them: colour order, mean and scale inside an OpenVINO graph.

Whatever can be is folded into the first convolution's kernel: the order of its channels and scales that differ from
channel to channel. What remains, one mean and one scale, is what 8-bit kernels undo by themselves.
"""

from typing import Literal, TypeAlias

import numpy as np
import openvino as ov
from openvino import opset13 as ops
from openvino.preprocess import ColorFormat, PrePostProcessor

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.surgery import NAMESPACE

Colour: TypeAlias = Literal["RGB", "BGR"]
Pixels: TypeAlias = Literal["RGB", "BGR", "NV12"]
INPUT = "image"
_FORMATS = {"RGB": ColorFormat.RGB, "BGR": ColorFormat.BGR, "NV12": ColorFormat.NV12_SINGLE_PLANE}
_AFFINE = frozenset({"Convert", "Subtract", "Multiply", "Transpose", "FakeQuantize"})


def take_pictures(model: ov.Model, *, colour: Colour, mean: tuple[float, ...], scale: tuple[float, ...]) -> None:
    """Let the graph take (1, H, W, 3) uint8 in RGB, in place; before, it took floats in its own layout.

    Raises InputError for a graph whose input isn't a picture.
    """
    first = _channels_first(model)
    shape = model.input(0).get_partial_shape()
    consumers = list(model.get_parameters()[0].output(0).get_target_inputs())
    convolution = _sole_convolution(consumers)
    height, width = (shape[2], shape[3]) if first else (shape[1], shape[2])
    pixels = ops.parameter(ov.PartialShape([shape[0], height, width, 3]), np.uint8, name=INPUT)
    floats = ops.convert(pixels, "f32")
    if convolution is not None:
        mean, scale = _fold(convolution, colour, mean, scale)
    elif colour == "BGR":
        floats = ops.gather(floats, np.array([2, 1, 0]), np.array(3))
    values = _affine(floats, mean, scale)
    if first:
        values = ops.transpose(values, np.array([0, 3, 1, 2])).output(0)
    for consumer in consumers:
        consumer.replace_source_output(values)
    model.replace_parameter(0, pixels)
    model.validate_nodes_and_infer_types()
    model.input(0).set_names({INPUT})


def accept(model: ov.Model, pixels: Pixels) -> ov.Model:
    """The same graph, of uint8 RGB pictures, for other pictures: BGR, or NV12 as one tensor (1, H·3/2, W, 1).

    NV12's colours are BT.601 of limited range. Raises InputError where the graph takes something else, or odd sizes.
    """
    port = model.input(0)
    shape = port.get_partial_shape()
    if accepted(model) != "RGB" or port.get_element_type() != ov.Type.u8 or len(shape) != 4 or shape[3] != 3:
        raise InputError(
            f"expected a graph that takes uint8 RGB of shape (1, H, W, 3), found {accepted(model)} {shape}"
        )
    sides = [side.get_length() for side in list(shape)[1:3] if side.is_static]
    if pixels == "NV12" and any(side % 2 for side in sides):
        raise InputError(f"NV12 has even height and width, found {'×'.join(map(str, sides))}; reshape the graph before")
    processor = PrePostProcessor(model)
    entry = processor.input()
    entry.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(_FORMATS[pixels])
    entry.model().set_layout(ov.Layout("NHWC"))
    entry.preprocess().convert_color(ColorFormat.RGB)
    model = processor.build()
    model.input(0).set_names({INPUT})
    model.set_rt_info(pixels, [NAMESPACE, "pixels"])
    return model


def accepted(model: ov.Model) -> str:
    """The pictures that the graph takes, as the preprocess step noted them; RGB where it noted nothing."""
    path = [NAMESPACE, "pixels"]
    return str(model.get_rt_info(path).astype(str)) if model.has_rt_info(path) else "RGB"


def feed_bytes(model: ov.Model) -> bool:
    """Let a quantized graph's first convolution look at the bytes themselves, in place; False where it can't.

    A picture is 8 bits already: what quantizes it once more costs a pass over all pixels, and rounds. 8-bit kernels
    have one whole zero point: the bias makes up for the difference to the means, everywhere but in padded places.
    """
    chain = _to_first_convolution(model)
    quantizer = next((node for node in chain if node.get_type_name() == "FakeQuantize"), None)
    if quantizer is None:
        return False
    quantizer.output(0).replace(quantizer.input_value(0))
    subtraction = next((node for node in chain if node.get_type_name() == "Subtract"), None)
    if subtraction is not None:
        _round_zero_point(subtraction, chain)
    model.validate_nodes_and_infer_types()
    return True


def _to_first_convolution(model: ov.Model) -> list[ov.Node]:
    """What lies on the one way from a picture of bytes to a convolution, and the convolution; nothing without one."""
    parameter = model.get_parameters()[0]
    if parameter.get_element_type() != ov.Type.u8:
        return []
    chain, port = [], parameter.output(0)
    while len(consumers := list(port.get_target_inputs())) == 1:
        node = consumers[0].get_node()
        chain.append(node)
        if node.get_type_name() == "Convolution":
            return chain
        if node.get_type_name() not in _AFFINE or consumers[0].get_index() != 0:
            return []
        port = node.output(0)
    return []


def _round_zero_point(subtraction: ov.Node, chain: list[ov.Node]) -> None:
    convolution = chain[-1]
    zero = subtraction.input_value(1).get_node()
    bias = _bias_of(convolution)
    multiplication = next((node for node in chain if node.get_type_name() == "Multiply"), None)
    if zero.get_type_name() != "Constant" or bias is None:
        return
    points = zero.get_data()
    rounded = np.clip(np.floor(points.mean() + 0.5), 0, 255).reshape((1,) * points.ndim)
    factor = multiplication.input_value(1).get_node().get_data() if multiplication else np.float32(1)
    moved = np.broadcast_to(((rounded - points) * factor).reshape(-1), 3)
    kernel = _values(convolution.input_value(1))
    shift = np.einsum("oikl,i->o", kernel, moved).reshape(1, -1, 1, 1)
    subtraction.input(1).replace_source_output(ops.constant(rounded.astype(points.dtype)).output(0))
    added = (_values(bias.input_value(1)) + shift).astype(np.float32)
    bias.input(1).replace_source_output(ops.constant(added).output(0))


def _bias_of(convolution: ov.Node) -> ov.Node | None:
    """The addition of a constant that alone follows the convolution."""
    consumers = list(convolution.output(0).get_target_inputs())
    node = consumers[0].get_node() if len(consumers) == 1 else None
    if node is None or node.get_type_name() != "Add":
        return None
    return node if node.input_value(1).get_node().get_type_name() in ("Constant", "Convert") else None


def _values(output: ov.Output) -> np.ndarray:
    """What a part without inputs, such as compressed weights, comes to."""
    part = ov.Model([ops.result(output)], [], "constant")
    return np.asarray(ov.compile_model(part, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([])[0])


def _channels_first(model: ov.Model) -> bool:
    shape = model.input(0).get_partial_shape()
    if len(model.inputs) == 1 and shape.rank.is_static and len(shape) == 4:
        if shape[3] == 3:
            return False
        if shape[1] == 3:
            return True
    raise InputError(f"expected an input of shape (1, H, W, 3), found {shape}")


def _sole_convolution(consumers: list[ov.Input]) -> ov.Node | None:
    """The convolution with a constant kernel that alone looks at the picture; None where there is another reader."""
    while len(consumers) == 1:
        node = consumers[0].get_node()
        if node.get_type_name() == "Convolution":
            return node if node.input_value(1).get_node().get_type_name() == "Constant" else None
        if node.get_type_name() != "Transpose":
            return None
        consumers = list(node.output(0).get_target_inputs())
    return None


def _fold(
    convolution: ov.Node, colour: Colour, mean: tuple[float, ...], scale: tuple[float, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Let the kernel look at RGB and make up for scales that aren't their geometric mean; mean and scale that remain.

    One scale stays outside, so that the weights keep the magnitude at which training and quantizing find them.
    """
    kernel = convolution.input_value(1).get_node().get_data()
    common = scale[0] if len(set(scale)) == 1 else float(np.exp(np.mean(np.log(np.abs(scale)))))
    kernel = kernel * (common / np.array(scale)).astype(kernel.dtype)[None, :, None, None]
    if colour == "BGR":
        kernel, mean = kernel[:, ::-1], mean[::-1]
    constant = ops.constant(np.ascontiguousarray(kernel))
    convolution.input(1).replace_source_output(constant.output(0))
    return mean, (common,)


def _affine(values: ov.Node, mean: tuple[float, ...], scale: tuple[float, ...]) -> ov.Output:
    """(value − mean) / scale, by scalars where all channels have the same."""
    if any(mean):
        values = ops.subtract(values, _constant(mean))
    if any(factor != 1 for factor in scale):
        values = ops.multiply(values, _constant(tuple(1 / factor for factor in scale)))
    return values.output(0)


def _constant(values: tuple[float, ...]) -> ov.Node:
    same = len(set(values)) == 1
    return ops.constant(np.float32(values[0]) if same else np.array(values, np.float32).reshape(1, 1, 1, 3))
