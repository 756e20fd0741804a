"""A small network and a set of official weights, shared by the tests of training."""

from collections.abc import Mapping

import keras
import numpy as np
import pytest

from danmatte_workbench.training.deeplab import architecture
from danmatte_workbench.training.deeplab.initialise import VOC_CLASSES, Weights

SIDE = 33
Official = Mapping[str, Weights]


@pytest.fixture(scope="session")
def network() -> keras.Model:
    """Return the default network for pictures of 33×33, with random weights from a fixed seed."""
    keras.utils.set_random_seed(3)
    return architecture.build((SIDE, SIDE))


@pytest.fixture(scope="session")
def official(network: keras.Model) -> Official:
    """Return weights with the official network's shapes, in TFLite's order, small enough that no layer saturates."""
    dice = np.random.default_rng(5)
    shapes = {
        layer.name.replace("-", "/"): layer.get_weights()[0].shape
        for layer in network.layers
        if layer.name.startswith("MobilenetV2") and layer.get_weights()
    }
    shapes |= {"aspp0": (1, 1, 320, 256), "image_pooling": (1, 1, 320, 256)}
    shapes |= {"concat_projection": (1, 1, 512, 256), "logits/semantic": (1, 1, 256, VOC_CLASSES)}
    return {name: _draw(shape, depthwise=name.endswith("depthwise"), dice=dice) for name, shape in shapes.items()}


def _draw(shape: tuple[int, ...], *, depthwise: bool, dice: np.random.Generator) -> Weights:
    fan_in = shape[0] * shape[1] * (1 if depthwise else shape[2])
    kernel = dice.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
    outputs = shape[2] if depthwise else shape[3]
    return Weights(kernel.transpose(3, 0, 1, 2), dice.normal(0, 0.1, outputs).astype(np.float32))
