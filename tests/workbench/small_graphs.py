"""OpenVINO graphs of a few layers, built in memory from a chain of layers."""

from typing import Self

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.runtimes.core import open_core


def run(model: ov.Model, *values: np.ndarray) -> list[np.ndarray]:
    """Return all outputs for the values, computed in float32; the graph isn't changed."""
    compiled = open_core().compile_model(model.clone(), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled(list(values))
    return [np.array(results[number]) for number in range(len(model.outputs))]


def answer(model: ov.Model, value: np.ndarray) -> np.ndarray:
    """Return the first output."""
    return run(model, value)[0]


def kinds(model: ov.Model) -> list[str]:
    """Return the types of all nodes except constants, parameters and results."""
    left_out = ("Constant", "Parameter", "Result")
    return [kind for node in model.get_ordered_ops() if (kind := node.get_type_name()) not in left_out]


def named(model: ov.Model, name: str) -> ov.Node:
    """Return the node with this friendly name."""
    return next(node for node in model.get_ordered_ops() if node.get_friendly_name() == name)


class Chain:
    """A chain of layers with random weights; ``value`` is the current output."""

    def __init__(
        self, height: int = 9, width: int = 9, channels: int = 3, *, seed: int = 0, last: bool = False
    ) -> None:
        """Start with a picture with channels first, or ``last``."""
        self.rng = np.random.default_rng(seed)
        shape = [1, height, width, channels] if last else [1, channels, height, width]
        self.picture = ops.parameter(shape, np.float32, name="picture")
        self.picture.output(0).set_names({"picture"})
        self.value = ops.transpose(self.picture, np.array([0, 3, 1, 2])) if last else self.picture

    @property
    def channels(self) -> int:
        return int(self.value.get_output_shape(0)[1])

    def conv(
        self,
        outputs: int,
        name: str,
        *,
        side: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = True,
    ) -> Self:
        kernel = self.rng.normal(0, 0.4, (outputs, self.channels, side, side)).astype(np.float32)
        pads = [side // 2 * dilation] * 2
        self.value = ops.convolution(self.value, kernel, [stride] * 2, pads, pads, [dilation] * 2)
        return self._end(name, outputs, bias)

    def depthwise(self, name: str, *, stride: int = 1, dilation: int = 1, bias: bool = True) -> Self:
        kernel = self.rng.normal(0, 0.4, (self.channels, 1, 1, 3, 3)).astype(np.float32)
        pads = [dilation] * 2
        self.value = ops.group_convolution(self.value, kernel, [stride] * 2, pads, pads, [dilation] * 2)
        return self._end(name, self.channels, bias)

    def relu(self) -> Self:
        self.value = ops.relu(self.value)
        return self

    def clamp(self, high: float = 6.0) -> Self:
        self.value = ops.clamp(self.value, 0.0, high)
        return self

    def resize(self, height: int, width: int, mode: str = "align_corners") -> Self:
        self.value = ops.interpolate(
            self.value,
            np.array([height, width]),
            "linear_onnx",
            "sizes",
            coordinate_transformation_mode=mode,
            axes=np.array([2, 3]),
        )
        return self

    def model(self, *others: ov.Node) -> ov.Model:
        """Return the graph with the chain's value and ``others`` as outputs."""
        return ov.Model([ops.result(node) for node in (self.value, *others)], [self.picture], "chain")

    def _end(self, name: str, outputs: int, bias: bool) -> Self:
        self.value.set_friendly_name(name)
        if bias:
            values = self.rng.normal(0, 0.3, (1, outputs, 1, 1)).astype(np.float32)
            self.value = ops.add(self.value, values)
            self.value.set_friendly_name(f"{name}/bias")
        return self


def noise(model: ov.Model, seed: int = 1) -> np.ndarray:
    """Return a random value with the shape of the graph's input."""
    return np.random.default_rng(seed).normal(0, 1, list(model.input(0).shape)).astype(np.float32)
