"""The only importer of TensorFlow in the workbench (training aside)."""

import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from workbench.errors import InputError

tf.get_logger().setLevel("ERROR")


@dataclass(frozen=True)
class Structure:
    """What a frozen segmentation graph's nodes say about it. Names are node names, ports are ``0:node``."""

    nodes: tuple[str, ...]
    image: str
    image_shape: tuple[int, ...]
    first_convolution: str
    classes: str


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except DecodeError as error:
        raise InputError(f"{path}: isn't a frozen TensorFlow graph") from error
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def read_graph(path: Path) -> tf.compat.v1.GraphDef:
    """The frozen graph at ``path``. Raises InputError when there is none."""
    definition = tf.compat.v1.GraphDef()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    with _translated(path):
        definition.ParseFromString(content)
    if not definition.node:
        raise InputError(f"{path}: isn't a frozen TensorFlow graph: it has no nodes")
    return definition


def structure(path: Path) -> Structure:
    """Find the picture, the first convolution and the class decision of a segmentation graph.

    Raises InputError when the graph has no single picture input, or no ``ArgMax``.
    """
    definition = read_graph(path)
    nodes = {node.name: node for node in definition.node}
    images = [node for node in definition.node if node.op == "Placeholder"]
    if len(images) != 1:
        raise InputError(f"{path}: expected one input, found {[node.name for node in images]}; name the cut")
    first = _first_convolution(definition, images[0].name)
    classes = next((node.name for node in definition.node if node.op == "ArgMax"), None)
    if first is None or classes is None:
        missing = "convolution behind its input" if first is None else "ArgMax over classes"
        raise InputError(f"{path}: found no {missing}; name the cut with --input and --output")
    shape = tuple(int(dim.size) for dim in images[0].attr["shape"].shape.dim)
    return Structure(tuple(nodes), images[0].name, shape, f"0:{first}", classes)


def _first_convolution(definition: tf.compat.v1.GraphDef, start: str) -> str | None:
    consumers: dict[str, list[tf.compat.v1.NodeDef]] = {}
    for node in definition.node:
        for name in node.input:
            consumers.setdefault(_node(name), []).append(node)
    queue, seen = deque([start]), {start}
    while queue:
        for node in consumers.get(queue.popleft(), []):
            if node.op == "Conv2D":
                return node.name
            if node.name not in seen:
                seen.add(node.name)
                queue.append(node.name)
    return None


def _node(reference: str) -> str:
    """The node that an input reference (``^node``, ``node:1``) points at."""
    return re.sub(r":\d+$", "", reference.lstrip("^"))


def node_names(path: Path) -> tuple[str, ...]:
    """All node names of the frozen graph, in its order."""
    return tuple(node.name for node in read_graph(path).node)


def node_feeding(path: Path, port: str) -> str:
    """The tensor that feeds input port ``0:node``, as ``node:output``."""
    number, _, name = port.partition(":")
    for node in read_graph(path).node:
        if node.name == name:
            reference = [item for item in node.input if not item.startswith("^")][int(number)]
            return reference if ":" in reference else f"{reference}:0"
    raise InputError(f"{path}: has no node {name}")


def runner(path: Path, *, feed: str, fetch: str, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """A function from the tensor named ``feed`` to the one named ``fetch`` (``node:0``), in stock TensorFlow."""
    definition = read_graph(path)
    graph = tf.Graph()
    with _translated(path), graph.as_default():
        tf.import_graph_def(definition, name="")
    options = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    session = tf.compat.v1.Session(graph=graph, config=options)
    with _translated(path):
        call = session.make_callable(fetch, feed_list=[feed])

    def run(value: np.ndarray) -> np.ndarray:
        with _translated(path):
            return call(value)

    return run


def read_tflite(path: Path) -> dict[str, tuple[np.ndarray, float, int]]:
    """The quantized tensors of a TFLite graph by name: values, scale, zero point."""
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with _translated(path):
        reader = tf.lite.Interpreter(str(path), experimental_op_resolver_type=plain)
        reader.allocate_tensors()
    tensors = {}
    for detail in reader.get_tensor_details():
        quantization = detail["quantization_parameters"]
        if len(quantization["scales"]) != 1:
            continue
        try:
            values = reader.get_tensor(detail["index"])
        except ValueError:  # an activation: nothing is stored
            continue
        tensors[detail["name"]] = (
            values,
            float(quantization["scales"][0]),
            int(quantization["zero_points"][0]),
        )
    return tensors


def versions() -> dict[str, str]:
    """The library's version, by name."""
    return {"tensorflow": tf.__version__}
