"""A graph of inverted residual blocks, like the beginning of MobileNetV2."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.runtimes import openvino

SIDE = 65


class _Maker:
    """A builder that appends layers with random kernels to a value."""

    def __init__(self, value: ov.Output) -> None:
        self.rng = np.random.default_rng(7)
        self.value = value

    def dense(self, channels: int, side: int = 1, stride: int = 1, *, cut_off: bool = True) -> "_Maker":
        inputs = int(self.value.get_shape()[1])
        kernel = self.rng.normal(0, np.sqrt(2 / (inputs * side * side)), (channels, inputs, side, side))
        edge = [side // 2] * 2
        made = ops.convolution(self.value, kernel.astype(np.float32), [stride] * 2, edge, edge, [1, 1])
        return self._ended(made, channels, cut_off=cut_off)

    def depthwise(self, stride: int = 1) -> "_Maker":
        channels = int(self.value.get_shape()[1])
        kernel = self.rng.normal(0, 0.4, (channels, 1, 1, 3, 3)).astype(np.float32)
        made = ops.group_convolution(self.value, kernel, [stride] * 2, [1, 1], [1, 1], [1, 1])
        return self._ended(made, channels, cut_off=True)

    def block(self, inner: int, outer: int, stride: int = 1) -> "_Maker":
        start = self.value
        self.dense(inner).depthwise(stride).dense(outer, cut_off=False)
        if stride == 1 and int(start.get_shape()[1]) == outer:
            self.value = ops.add(start, self.value).output(0)
        return self

    def _ended(self, made: ov.Node, channels: int, *, cut_off: bool) -> "_Maker":
        biased = ops.add(made, self.rng.normal(0, 0.3, (1, channels, 1, 1)).astype(np.float32))
        self.value = (ops.clamp(biased, 0.0, 6.0) if cut_off else biased).output(0)
        return self


def write(path: Path, stride: int = 2) -> Artifact:
    """Write a graph from (1, 65, 65, 3) uint8 to (1, 17, 17, 1) in [0, 1].

    It has a stem, a block with ``stride``, a residual block, and another block.
    """
    picture = ops.parameter([1, SIDE, SIDE, 3], np.uint8, name="image")
    floats = ops.multiply(ops.convert(picture, "f32"), np.float32(1 / 128))
    maker = _Maker(ops.transpose(floats, np.array([0, 3, 1, 2])).output(0))
    maker.dense(16, 3, 2).depthwise().dense(8, cut_off=False)
    maker.block(32, 12, stride).block(32, 12).block(32, 16)
    maker.dense(16).dense(1, cut_off=False)
    person = ops.transpose(ops.sigmoid(maker.value), np.array([0, 2, 3, 1]))
    model = ov.Model([ops.result(person)], [picture], "blocks")
    model.input(0).set_names({"image"})
    model.output(0).set_names({"person"})
    return openvino.save(model, path)
