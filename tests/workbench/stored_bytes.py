"""A small graph like TFLite's quantized ones: 8-bit input, weights with zero points, quantized activations."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.runtimes import openvino

SIDE, WIDTH = 17, 8


def round_to_bytes(value: ov.Output, low: float, high: float, ends: tuple[float, float] | None = None) -> ov.Node:
    """Return the value quantized to 256 steps from low to high, mapped to the range ``ends``."""
    first, last = ends or (low, high)
    return ops.fake_quantize(value, *(np.full((1, 1, 1, 1), end, np.float32) for end in (low, high, first, last)), 256)


def store_kernel(shape: tuple[int, ...], rng: np.random.Generator, *, point: int, step: float) -> ov.Node:
    """Return a kernel of random bytes, minus the zero point, times the step."""
    numbers = rng.integers(0, 256, shape, dtype=np.uint8)
    moved = ops.subtract(ops.convert(ops.constant(numbers), "f32"), np.full((1,) * len(shape), point, np.float32))
    return ops.multiply(moved, np.full((1,) * len(shape), step, np.float32))


def make(point: int = 128) -> ov.Model:
    """Return a graph for pictures (1, SIDE, SIDE, 3) uint8: two convolutions, one depthwise, and one to one channel."""
    rng = np.random.default_rng(0)
    picture = ops.parameter([1, SIDE, SIDE, 3], np.uint8, name="picture")
    value = ops.transpose(ops.convert(picture, "f32"), np.array([0, 3, 1, 2]))
    value = round_to_bytes(value.output(0), 0, 255, (-1.0, 127 / 128))  # from bytes to real values
    pads = [1, 1]
    for kind, shape, step in (
        (ops.convolution, (WIDTH, 3, 3, 3), 0.01),
        (ops.group_convolution, (WIDTH, 1, 1, 3, 3), 0.005),
        (ops.convolution, (1, WIDTH, 1, 1), 0.004),
    ):
        kernel = store_kernel(shape, rng, point=point, step=step)
        value = kind(value, kernel, [1, 1], pads, pads, [1, 1])
        value = ops.add(value, rng.normal(0, 0.3, (1, value.get_output_shape(0)[1], 1, 1)).astype(np.float32))
        value = round_to_bytes(value.output(0), 0, 6)
    model = ov.Model([ops.result(value)], [picture], "stored")
    model.input(0).set_names({"picture"})
    model.output(0).set_names({"answer"})
    return model


def write(path: Path) -> Artifact:
    """Write the graph as IR."""
    return openvino.save(make(140), path)
