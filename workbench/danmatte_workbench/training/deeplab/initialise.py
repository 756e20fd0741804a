"""Initial weights: the official 8-bit PASCAL VOC network, dequantized, or a graph that was trained here before.

The official network's batch norms are folded, so each layer is a kernel and a bias, and the encoder here computes the
same function in float. ``build_official`` shows that: it adds the official 21-class head.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from keras import layers

from danmatte_workbench.errors import InputError
from danmatte_workbench.training.deeplab import architecture

VOC_CLASSES = 21
VOC_PERSON = 15
_LAYER = re.compile(r"(.+?)/(?:Conv2D|depthwise_Fold|add_fold|BatchNorm_Fold/bias|BiasAdd)")


class Weights(NamedTuple):
    """A convolution's kernel, in TFLite's order, and its bias, both float32."""

    kernel: np.ndarray
    bias: np.ndarray


def dequantize(tensors: Mapping[str, tuple[np.ndarray, float, int]]) -> dict[str, Weights]:
    """Return weights by layer name from a quantized graph's tensors, each given as (values, scale, zero point)."""
    kernels: dict[str, np.ndarray] = {}
    biases: dict[str, np.ndarray] = {}
    for name, (values, scale, zero_point) in tensors.items():
        match = _LAYER.match(name.split(";")[0])
        if match is None:
            continue
        floats = (values.astype(np.float32) - zero_point) * np.float32(scale)
        if values.ndim == 1:
            biases[match[1]] = floats
        elif "weights_quant" in name:
            kernels[match[1]] = floats
    return {name: Weights(kernels[name], biases[name]) for name in kernels.keys() & biases.keys()}


class Kernel(NamedTuple):
    """A convolution's kernel, in Keras's order, and its bias, both float32."""

    kernel: np.ndarray
    bias: np.ndarray


def read_graph(path: Path) -> dict[str, Kernel]:
    """Return the weights by layer name of a frozen graph that ``export.export`` wrote."""
    import tensorflow as tf

    from danmatte_workbench.runtimes import frozen

    nodes = {node.name: node for node in frozen.read_graph(path).node}

    def constant(name: str) -> np.ndarray:
        return np.asarray(tf.make_ndarray(nodes[name].attr["value"].tensor))

    found = {}
    for name, node in nodes.items():
        layer = name.rsplit("/", 1)[0]
        if node.op in ("Conv2D", "DepthwiseConv2dNative") and f"{layer}/BiasAdd" in nodes:
            bias = nodes[f"{layer}/BiasAdd"].input[1]
            found[layer.replace("/", "-")] = Kernel(constant(node.input[1]), constant(bias))
    return found


def go_on_from(model: keras.Model, weights: Mapping[str, Kernel]) -> list[str]:
    """Copy a trained network's ``weights`` into ``model``; return the names of the layers that have none.

    The weights of those layers become zero, so that they don't change the sums to which their outputs are added.
    """
    fresh = []
    for layer in _convolutions(model):
        if layer.name in weights:
            layer.set_weights(list(weights[layer.name]))
        else:
            layer.set_weights([np.zeros_like(weight) for weight in layer.get_weights()])
            fresh.append(layer.name)
    return fresh


def build_official(weights: Mapping[str, Weights], size: tuple[int, int] = (513, 513)) -> keras.Model:
    """Return the official 21-class network in float: pixels in [-1, 1] to logits at stride 16, (batch, h, w, 21)."""
    image = keras.Input((*size, 3), name="image")
    features = architecture.encode(image).features
    local = layers.Conv2D(256, 1, activation="relu", name="aspp0")(features)
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name="image_pooling_mean")(features)
    pooled = layers.Conv2D(256, 1, activation="relu", name="image_pooling")(pooled)
    pooled = architecture.Enlarge(features.shape[1:3], name="image_pooling_enlarge")(pooled)
    joined = layers.Concatenate(name="aspp_concat")([pooled, local])
    joined = layers.Conv2D(256, 1, activation="relu", name="concat_projection")(joined)
    logits = layers.Conv2D(VOC_CLASSES, 1, name="logits-semantic")(joined)
    model = keras.Model(image, logits, name="deeplab_official")
    for layer in _convolutions(model):
        _assign(layer, weights)
    return model


def start_from(model: keras.Model, weights: Mapping[str, Weights]) -> list[str]:
    """Copy the official network's weights into ``model``; return the names of the layers that have none.

    The encoder, ``aspp0`` and the image pooling are copied unchanged. The official projection is split into its pooled
    and its local half. Its weights for the new atrous branches start at a tenth of the usual scale, so that training
    starts close to the official network's function.
    """
    fresh = []
    for layer in _convolutions(model):
        name = layer.name.replace("-", "/")
        if name in ("concat_projection", "image_projection"):
            _split_projection(layer, weights["concat_projection"])
        elif name in weights and name != "logits/semantic":
            _assign(layer, weights)
        else:
            fresh.append(layer.name)
    return fresh


def _convolutions(model: keras.Model) -> list[layers.Layer]:
    return [layer for layer in model.layers if isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D))]


def _assign(layer: layers.Layer, weights: Mapping[str, Weights]) -> None:
    name = layer.name.replace("-", "/")
    if name not in weights:
        raise InputError(f"the initial weights have no layer {name}; they hold {len(weights)} others")
    kernel, bias = weights[name]
    layer.set_weights([kernel.transpose(1, 2, 3, 0), bias])


def _split_projection(layer: layers.Layer, official: Weights) -> None:
    kernel = official.kernel.transpose(1, 2, 3, 0)
    pooled, local = kernel[:, :, :256], kernel[:, :, 256:]
    if layer.name == "image_projection":
        layer.set_weights([pooled, np.zeros_like(official.bias)])
        return
    atrous = 0.1 * layer.get_weights()[0][:, :, 256:]
    layer.set_weights([np.concatenate([local, atrous], axis=2), official.bias])
