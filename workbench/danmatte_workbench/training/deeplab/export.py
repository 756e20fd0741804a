"""Export of the trained network as a frozen TensorFlow graph with the node names of the official export."""

import re
from pathlib import Path

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

MEAN = SCALE = 127.5


def export(network: keras.Model, path: Path) -> None:
    """Write ``network``, from ``architecture.build``, as a frozen GraphDef.

    ``ImageTensor``, uint8 (1, H, W, 3) RGB of any size, is stretched to the network's input. ``ArgMax`` has the class
    numbers at that size; ``SemanticPredictions``, int32 (1, H, W), has them at the picture's size.
    """
    side = network.input.shape[1:3]

    def predict(picture: tf.Tensor) -> tf.Tensor:
        size = tf.shape(picture)[1:3]
        floats = tf.cast(picture, tf.float32)
        square = tf.compat.v1.image.resize_bilinear(floats, side, half_pixel_centers=True, name="ResizeImage")
        square = tf.ensure_shape(tf.subtract(square / SCALE, MEAN / SCALE), (1, *side, 3))
        logits = network(square, training=False)
        large = tf.compat.v1.image.resize_bilinear(logits, side, align_corners=True, name="ResizeBilinear_2")
        classes = tf.argmax(large, axis=3, name="ArgMax")
        classes = tf.cast(classes, tf.int32)[..., None]
        answer = tf.compat.v1.image.resize_nearest_neighbor(classes, size, half_pixel_centers=True)
        return tf.squeeze(answer, axis=3, name="SemanticPredictions")

    spec = tf.TensorSpec((1, None, None, 3), tf.uint8, name="ImageTensor")
    frozen = convert_variables_to_constants_v2(tf.function(predict).get_concrete_function(spec))
    definition = _rename_officially(frozen.graph.as_graph_def(), frozen.outputs[0].op.name, network)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(definition.SerializeToString(deterministic=True))


def _rename_officially(definition: tf.compat.v1.GraphDef, answer: str, network: keras.Model) -> tf.compat.v1.GraphDef:
    """Return the graph with renamed nodes: hyphens of layers become slashes, operations get TensorFlow 1's names."""
    names = _find_names(definition, {layer.name for layer in network.layers})
    _shorten_weights(definition)
    kept = tf.compat.v1.graph_util.extract_sub_graph(definition, [answer])
    for node in kept.node:
        node.name = names[node.name]
        for number, reference in enumerate(node.input):
            name, colon, output = reference.partition(":")
            node.input[number] = f"{names[name]}{colon}{output}"
        node.attr.pop("_output_shapes", None)
    kept.library.Clear()
    kept.versions.CopyFrom(definition.versions)
    return kept


def _shorten_weights(definition: tf.compat.v1.GraphDef) -> None:
    """Connect kernels and biases directly to their operations, without the reads and reshapes that Keras inserts."""
    nodes = {node.name: node for node in definition.node}
    for node in definition.node:
        flow = [reference for reference in node.input if not reference.startswith("^")]
        node.input[:] = flow  # no operation has side effects, so control inputs aren't needed
        if node.op not in ("Conv2D", "DepthwiseConv2dNative", "BiasAdd"):
            continue
        weights = nodes[node.input[1]]
        while weights.op in ("Identity", "Reshape", "Squeeze"):
            weights = nodes[weights.input[0].split(":")[0]]
        if weights.op == "Const":
            node.input[1] = weights.name


def _find_names(definition: tf.compat.v1.GraphDef, layers: set[str]) -> dict[str, str]:
    """Return the official name of each node: its path from its layer's scope, or its whole path outside of layers."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for node in definition.node:
        parts = node.name.split("/")
        for number, part in enumerate(parts):
            layer = (
                part if part in layers else re.sub(r"_\d+$", "", part)
            )  # Keras appends a number when it enters a scope again
            if layer in layers:
                parts = [layer, *parts[number + 1 :]]
                break
        parts = [part.replace("-", "/") for part in parts]
        if node.op in ("Conv2D", "DepthwiseConv2dNative"):
            parts[-1] = {"Conv2D": "Conv2D", "DepthwiseConv2dNative": "depthwise"}[node.op]
        name = "/".join(parts)
        while name in taken:
            name += "_"
        taken.add(name)
        names[node.name] = name
    return names
