"""The only importer of TensorFlow in the workbench (training aside)."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from danmatte_workbench.errors import InputError
from danmatte_workbench.graph.anatomy import Anatomy, Node
from danmatte_workbench.runtimes.frozen import read_graph

tf.get_logger().setLevel("ERROR")


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: {str(error).splitlines()[0]}") from error


def anatomy(path: Path) -> Anatomy:
    """The graph's nodes, without control inputs."""
    return Anatomy(tuple(Node(node.name, node.op, _flow(node)) for node in read_graph(path).node))


def _flow(node: tf.compat.v1.NodeDef) -> tuple[str, ...]:
    """The nodes that the inputs ``node`` and ``node:1`` point at."""
    return tuple(re.sub(r":\d+$", "", reference) for reference in node.input if not reference.startswith("^"))


def static_shape(path: Path, node: str) -> tuple[int, ...]:
    """The shape that a placeholder says it has; −1 for what it leaves open, nothing where it says nothing."""
    found = next(item for item in read_graph(path).node if item.name == node)
    return tuple(int(side.size) for side in found.attr["shape"].shape.dim)


def takes_floats(path: Path, node: str) -> bool:
    """Whether the placeholder's numbers are floats."""
    found = next(item for item in read_graph(path).node if item.name == node)
    return bool(tf.dtypes.as_dtype(found.attr["dtype"].type).is_floating)


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
    run = runner_of_all(path, feed=feed, fetches=(fetch,), threads=threads)
    return lambda value: run(value)[0]


def runner_of_all(
    path: Path, *, feed: str, fetches: Sequence[str], threads: int = 0
) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """A function from the tensor named ``feed`` to those named ``fetches`` (``node:0``), in stock TensorFlow.

    Pictures are cast to the input's type, and put channels first where it has them so.
    """
    definition = read_graph(path)
    graph = tf.Graph()
    with _translated(path), graph.as_default():
        tf.import_graph_def(definition, name="")
    options = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    session = tf.compat.v1.Session(graph=graph, config=options)
    with _translated(path):
        entry = graph.get_tensor_by_name(feed)
        call = session.make_callable(list(fetches), feed_list=[feed])
    kind, sides = entry.dtype.as_numpy_dtype, entry.shape.as_list() if entry.shape.rank else []
    first = len(sides) == 4 and sides[1] == 3 and sides[3] != 3

    def run(value: np.ndarray) -> tuple[np.ndarray, ...]:
        with _translated(path):
            return tuple(call(np.asarray(np.moveaxis(value, -1, 1) if first else value, kind)))

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
