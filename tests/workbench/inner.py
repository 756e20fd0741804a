"""A graph of a convolution, a depthwise one and a convolution, in which some channels are copies of others."""

from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte_workbench.artifact import Artifact
from danmatte_workbench.runtimes import openvino

SIDE, CHANNELS, DIFFERENT = 65, 48, 12


def write(path: Path) -> Artifact:
    """Write a graph from (1, 65, 65, 3) uint8 to (1, 33, 33, 1) in [0, 1]; channels after the twelfth are copies."""
    rng = np.random.default_rng(3)
    repeats = np.arange(CHANNELS) % DIFFERENT
    wide = rng.normal(0, 0.02, (DIFFERENT, 3, 3, 3))[repeats].astype(np.float32)
    picture = ops.parameter([1, SIDE, SIDE, 3], np.uint8, name="image")
    floats = ops.transpose(ops.convert(picture, "f32"), np.array([0, 3, 1, 2]))
    features = ops.convolution(floats, wide, [2, 2], [1, 1], [1, 1], [1, 1])
    features = ops.clamp(ops.add(features, _bias(rng, DIFFERENT)[:, repeats]), 0.0, 6.0)
    blur = np.broadcast_to(rng.normal(0, 0.3, (DIFFERENT, 1, 1, 3, 3))[repeats], (CHANNELS, 1, 1, 3, 3))
    features = ops.group_convolution(features, blur.astype(np.float32), [1, 1], [1, 1], [1, 1], [1, 1])
    features = ops.clamp(ops.add(features, _bias(rng, DIFFERENT)[:, repeats]), 0.0, 6.0)
    narrow = rng.normal(0, 0.3, (1, CHANNELS, 1, 1)).astype(np.float32)
    margin = ops.add(ops.convolution(features, narrow, [1, 1], [0, 0], [0, 0], [1, 1]), _bias(rng, 1))
    person = ops.transpose(ops.sigmoid(margin), np.array([0, 2, 3, 1]))
    model = ov.Model([ops.result(person)], [picture], "inner")
    model.input(0).set_names({"image"})
    model.output(0).set_names({"person"})
    return openvino.save(model, path)


def _bias(rng: np.random.Generator, channels: int) -> np.ndarray:
    return rng.normal(0, 0.5, (1, channels, 1, 1)).astype(np.float32)
