"""Running a graph in its source runtime and as IR on the same inputs, to compare the outputs."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from danmatte_workbench.configuration import configure
from danmatte_workbench.reading import PLAIN, ReadOptions
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.frozen import read_graph

Arrays = list[np.ndarray]


def run_source(
    path: Path, inputs: Sequence[np.ndarray], outputs: Sequence[str], options: ReadOptions = PLAIN
) -> Arrays:
    """Return the outputs in ONNX Runtime, TFLite or TensorFlow, by default options; inputs are in the graph's order."""
    if path.suffix == ".onnx":
        return _run_onnx(path, inputs)
    if path.suffix == ".tflite":
        return _run_tflite(path, inputs)
    return _run_tensorflow(path, inputs, outputs, options)


def run_ir(path: Path, inputs: Sequence[np.ndarray]) -> Arrays:
    """Return the outputs of the IR in float32."""
    request = openvino.compile_file(path, configure(precision="f32")).create_infer_request()
    results = request.infer(dict(enumerate(inputs)))
    return [np.array(results[number]) for number in range(len(results))]


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the largest difference relative to the largest value."""
    assert one.shape == other.shape, (one.shape, other.shape)
    first, second = one.astype(np.float64), other.astype(np.float64)
    return float(np.abs(first - second).max() / max(np.abs(second).max(), 1e-12)) if one.size else 0.0


def make_inputs(xml: Path, picture: np.ndarray | None = None) -> Arrays:
    """Return values for each input of the IR: random, or the picture, (H, W, 3) uint8; variable sides are 160×128."""
    rng, size = np.random.default_rng(7), (160, 128)
    made = []
    for port in openvino.describe(xml).inputs:
        first = len(port.shape) == 4 and port.shape[1] in (1, 3, 4)
        free = {2: size[0], 3: size[1]} if first else {1: size[0], 2: size[1]}
        shape = [side if side > 0 else free.get(axis, 1) for axis, side in enumerate(port.shape)]
        values = rng.integers(0, 256, shape)
        if picture is not None and len(shape) == 4 and 3 in (shape[1], shape[3]):
            values = _fit(picture, shape[2:] if first else shape[1:3])[None]
            values = np.moveaxis(values, -1, 1) if first else values
        kind = {"f32": np.float32, "f16": np.float16, "u8": np.uint8, "i8": np.int8, "boolean": bool}[port.dtype]
        scaled = values / 127.5 - 1 if port.dtype in ("f32", "f16") else values - 128 * (port.dtype == "i8")
        made.append(np.ascontiguousarray(scaled).astype(kind))
    return made


def _fit(picture: np.ndarray, size: Sequence[int]) -> np.ndarray:
    import cv2

    return np.asarray(cv2.resize(picture, (size[1], size[0]), interpolation=cv2.INTER_AREA)).astype(np.int64)


def _run_onnx(path: Path, inputs: Sequence[np.ndarray]) -> Arrays:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_inputs()]
    return [np.asarray(value) for value in session.run(None, dict(zip(names, inputs, strict=True)))]


def _run_tflite(path: Path, inputs: Sequence[np.ndarray]) -> Arrays:
    import tensorflow as tf

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on its move to another package
        reader = tf.lite.Interpreter(str(path))
    for detail, value in zip(reader.get_input_details(), inputs, strict=True):
        if tuple(detail["shape"]) != value.shape:
            reader.resize_tensor_input(detail["index"], value.shape)
    reader.allocate_tensors()
    for detail, value in zip(reader.get_input_details(), inputs, strict=True):
        reader.set_tensor(detail["index"], value)
    reader.invoke()
    return [np.array(reader.get_tensor(detail["index"])) for detail in reader.get_output_details()]


def _run_tensorflow(path: Path, inputs: Sequence[np.ndarray], outputs: Sequence[str], options: ReadOptions) -> Arrays:
    import tensorflow as tf

    definition = read_graph(path, options)
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    feeds = [f"{node.name}:0" for node in definition.node if node.op == "Placeholder"]
    fetches = [name if ":" in name else f"{name}:0" for name in outputs]
    with tf.compat.v1.Session(graph=graph) as session:
        return [np.asarray(value) for value in session.run(fetches, dict(zip(feeds, inputs, strict=True)))]
