"""Small graphs in every format: segmenters that take red for a person, a classifier and a text detector."""

from functools import cache
from pathlib import Path

import keras
import numpy as np
import onnx
import openvino as ov
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

SIDE, FEATURES = 64, 4
WEIGHTS = np.array([[1.0, -0.5, -0.5], [-0.5, -0.5, 1.0], [0.4, -0.3, 0.2], [-0.2, 0.5, 0.1]], np.float32)


def first_kernel() -> np.ndarray:
    """Return a kernel, (3, 3, 3, FEATURES): redness, blueness and two others, averaged over 3×3 pixels."""
    return np.broadcast_to(WEIGHTS.T / 9, (3, 3, 3, FEATURES)).astype(np.float32)


def last_kernel(classes: int) -> np.ndarray:
    """Return a kernel, (1, 1, FEATURES, classes), whose class `person` is the redness."""
    kernel = np.zeros((1, 1, FEATURES, classes), np.float32)
    kernel[0, 0, 0, person(classes)] = 8.0
    return kernel


def last_bias(classes: int) -> np.ndarray:
    """Return biases with a margin of 4, so that the person begins at a redness of one half."""
    bias = np.full(classes, -4.0, np.float32)
    bias[0] = 4.0 if classes > 1 else -4.0
    bias[person(classes)] = 0.0 if classes > 1 else -4.0
    return bias


def person(classes: int) -> int:
    return {1: 0, 2: 1, 21: 15}[classes]


@cache
def network(end: str = "logits", *, rescaled: bool = True, side: int | None = SIDE) -> keras.Model:
    """Return a network from float pixels, normalised ones unless ``rescaled``, to the output that ``end`` names."""
    classes = 1 if end == "sigmoid" else 2
    image = keras.Input((side, side, 3), batch_size=1, name="photo")
    values = keras.layers.Rescaling(1 / 127.5, offset=-1.0)(image) if rescaled else image
    first = keras.layers.Conv2D(FEATURES, 3, strides=2, padding="same", use_bias=False, name="stem")
    features = keras.layers.ReLU()(first(values))
    features = keras.layers.DepthwiseConv2D(3, padding="same", name="deep", use_bias=False)(features)
    last = keras.layers.Conv2D(classes, 1, name="decide", activation={"sigmoid": "sigmoid"}.get(end))
    answer = last(features)
    if side:
        answer = keras.layers.UpSampling2D(2, interpolation="bilinear")(answer)
    if end == "softmax":
        answer = keras.layers.Softmax()(answer)
    made = keras.Model(image, answer)
    blur = np.full((3, 3, FEATURES, 1), 0.05, np.float32)
    blur[1, 1] = 0.6
    first.set_weights([first_kernel()])
    made.get_layer("deep").set_weights([blur])
    last.set_weights([last_kernel(classes), last_bias(classes)])
    return made


def write_keras(path: Path, end: str = "logits", **how: object) -> Path:
    """Write a ``.keras`` or ``.h5`` file."""
    network(end, **how).save(path)
    return path


def write_saved(folder: Path, end: str = "logits", **how: object) -> Path:
    """Write a SavedModel."""
    network(end, **how).export(folder, verbose=False)
    return folder


def write_tflite(path: Path, end: str = "logits", *, bits: int = 32, **how: object) -> Path:
    """Write a TFLite file in floats, or in 8 bits with uint8 pictures."""
    converter = tf.lite.TFLiteConverter.from_keras_model(network(end, **how))
    if bits == 8:
        rng = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [rng.uniform(0, 255, (1, SIDE, SIDE, 3)).astype(np.float32)] for _ in range(8)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
    path.write_bytes(converter.convert())
    return path


def write_onnx(path: Path, end: str = "logits", *, classes: int = 2, names: str = "n", side: int | None = SIDE) -> Path:
    """Write an ONNX graph with channels first and normalised input, like PyTorch's exports; nodes are ``names`` N.

    ``end``: logits, argmax, softmax, or sigmoid of one class.
    """
    classes = 1 if end == "sigmoid" else classes
    nodes, weights = _onnx_body(names, classes)
    finish = {
        "logits": [],
        "argmax": [helper.make_node("ArgMax", ["large"], ["answer"], f"{names}8", axis=1, keepdims=0)],
        "softmax": [helper.make_node("Softmax", ["large"], ["answer"], f"{names}8", axis=1)],
        "sigmoid": [helper.make_node("Sigmoid", ["large"], ["answer"], f"{names}8")],
    }[end]
    answer = helper.make_tensor_value_info(
        "answer" if finish else "large", TensorProto.INT64 if end == "argmax" else TensorProto.FLOAT, None
    )
    sides = [1, 3, side or "height", side or "width"]
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, sides)
    return _save_onnx(path, [*nodes, *finish], [photo], [answer], weights)


def _onnx_body(names: str, classes: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    weights = {
        "stem.weight": first_kernel().transpose(3, 2, 0, 1),
        "decide.weight": last_kernel(classes).transpose(3, 2, 0, 1),
        "decide.bias": last_bias(classes),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["photo", "stem.weight"], ["a"], f"{names}1", strides=[2, 2], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], f"{names}2"),
        helper.make_node("Conv", ["b", "decide.weight", "decide.bias"], ["c"], f"{names}3"),
        helper.make_node("Resize", ["c", "", "scales"], ["large"], f"{names}4", mode="linear"),
    ]
    return nodes, weights


def write_classifier(path: Path) -> Path:
    """Write an ONNX classifier of ten classes."""
    rng = np.random.default_rng(1)
    nodes, weights = _onnx_body("n", 2)
    weights["head"] = rng.normal(0, 2, (FEATURES, 10)).astype(np.float32)
    nodes = [
        *nodes[:2],
        helper.make_node("GlobalAveragePool", ["b"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, None)
    return _save_onnx(path, nodes, [photo], [scores], weights)


def write_detector(path: Path) -> Path:
    """Write an ONNX text detector: a map of scores and one of boxes, at half the picture's size."""
    nodes, weights = _onnx_body("n", 2)
    weights["boxes.weight"] = np.random.default_rng(2).normal(0, 1, (5, FEATURES, 1, 1)).astype(np.float32)
    weights["score.weight"] = last_kernel(1).transpose(3, 2, 0, 1)
    nodes = [
        *nodes[:2],
        helper.make_node("Conv", ["b", "score.weight"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["score"]),
        helper.make_node("Conv", ["b", "boxes.weight"], ["boxes"]),
    ]
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("score", "boxes")]
    return _save_onnx(path, nodes, [photo], outputs, weights)


def write_finder(path: Path) -> Path:
    """Write an ONNX detector with a variable number of boxes, maybe none, like torchvision's.

    It gives a box, a score and a class for each bright place.
    """
    nodes, weights = _onnx_body("n", 2)
    weights["score.weight"] = last_kernel(1).transpose(3, 2, 0, 1)
    weights |= {"flat": np.array([-1]), "sure": np.float32(0.9), "size": np.float32([0, 0, 1, 1])}
    nodes = [
        *nodes[:2],
        helper.make_node("Conv", ["b", "score.weight"], ["s"]),
        helper.make_node("Sigmoid", ["s"], ["p"]),
        helper.make_node("Reshape", ["p", "flat"], ["row"]),
        helper.make_node("Greater", ["row", "sure"], ["found"]),
        helper.make_node("NonZero", ["found"], ["where"]),
        helper.make_node("Reshape", ["where", "flat"], ["number"]),
        helper.make_node("Gather", ["row", "number"], ["scores"]),
        helper.make_node("Transpose", ["where"], ["column"], perm=[1, 0]),
        helper.make_node("Cast", ["column"], ["corner"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["corner", "size"], ["boxes"]),
        helper.make_node("Mul", ["number", "number"], ["labels"]),
    ]
    photo = helper.make_tensor_value_info("photo", TensorProto.FLOAT, [1, 3, SIDE, SIDE])
    kinds = {"boxes": TensorProto.FLOAT, "scores": TensorProto.FLOAT, "labels": TensorProto.INT64}
    outputs = [helper.make_tensor_value_info(name, kind, None) for name, kind in kinds.items()]
    return _save_onnx(path, nodes, [photo], outputs, weights)


def _save_onnx(
    path: Path,
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    weights: dict[str, np.ndarray],
) -> Path:
    constants = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def write_ir(path: Path, end: str = "logits", **how: object) -> Path:
    """Write the ONNX graph as OpenVINO IR."""
    ov.save_model(ov.convert_model(write_onnx(path.with_suffix(".onnx"), end, **how)), path)
    return path
