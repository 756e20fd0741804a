"""Stock TensorFlow: reading the structure of its graphs, and running them."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised anyway, and missing GPU drivers are no error

import numpy as np

from danmatte_workbench.processes.silence import silence_stderr

with silence_stderr():  # its libraries write to stderr when they are loaded, whatever the log level
    import tensorflow as tf

from danmatte_workbench.errors import InputError
from danmatte_workbench.runtimes.causes import explain
from danmatte_workbench.runtimes.frozen import read_graph

tf.get_logger().setLevel("ERROR")


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (tf.errors.OpError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: TensorFlow can't run it: {explain(error)}") from error


def read_nodes(path: Path) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield name, kind and feeding nodes of each node, in the file's order, without control inputs (``^node``)."""
    for node in read_graph(path).node:
        feeding = tuple(re.sub(r":\d+$", "", reference) for reference in node.input if not reference.startswith("^"))
        yield node.name, node.op, feeding


def list_kernels(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Return the convolutions by name, in the file's order, each with its kernel's shape in OpenVINO's order.

    (outputs, inputs, rows, columns), or (channels, outputs of each, 1, rows, columns) for depthwise convolutions.
    """
    nodes = {node.name: node for node in read_graph(path).node}
    found: list[tuple[str, tuple[int, ...]]] = []
    for node in nodes.values():
        if node.op not in ("Conv2D", "DepthwiseConv2dNative"):
            continue
        kernel = nodes[node.input[1].partition(":")[0]]
        while kernel.op != "Const" and kernel.input:
            kernel = nodes[kernel.input[0].lstrip("^").partition(":")[0]]
        sides = [side.size for side in kernel.attr["value"].tensor.tensor_shape.dim]
        if len(sides) == 4:
            rows, columns, inputs, outputs = sides
            depthwise = node.op != "Conv2D"
            found.append(
                (node.name, (inputs, outputs, 1, rows, columns) if depthwise else (outputs, inputs, rows, columns))
            )
    return found


def read_static_shape(path: Path, node: str) -> tuple[int, ...]:
    """Return the shape that a placeholder declares: −1 for unknown dimensions, empty if it declares none."""
    found = next(item for item in read_graph(path).node if item.name == node)
    return tuple(int(side.size) for side in found.attr["shape"].shape.dim)


def takes_floats(path: Path, node: str) -> bool:
    """Return whether the placeholder's type is a float."""
    found = next(item for item in read_graph(path).node if item.name == node)
    return bool(tf.dtypes.as_dtype(found.attr["dtype"].type).is_floating)


def takes_strings(path: Path, node: str) -> bool:
    """Return whether the placeholder takes strings, such as encoded pictures."""
    found = next(item for item in read_graph(path).node if item.name == node)
    return bool(found.attr["dtype"].type == tf.string.as_datatype_enum)


def read_picture_size(path: Path, port: str) -> tuple[int, int] | None:
    """Return the (height, width) of pictures at a port ``0:node`` if it is known statically, otherwise None."""
    graph = tf.Graph()
    with _translate_errors(path), graph.as_default():
        tf.import_graph_def(read_graph(path), name="")
        shape = graph.get_tensor_by_name(find_feeding_tensor(path, port)).shape
    sides = shape.as_list() if shape.rank == 4 else [None] * 4
    rows = 2 if read_data_format(path, port) == "NCHW" else 1
    height, width = sides[rows : rows + 2]
    return (height, width) if height and width else None


def read_data_format(path: Path, port: str) -> str:
    """Return the data format, NHWC or NCHW, of the node of a port ``0:node``; empty if the node has none."""
    name = port.partition(":")[2]
    return next((node.attr["data_format"].s.decode() for node in read_graph(path).node if node.name == name), "")


def read_port_type(path: Path, port: str) -> str:
    """Return the number type of the node of a port ``0:node``, such as float16; empty if the node has none."""
    name = port.partition(":")[2]
    found = next((node.attr["T"].type for node in read_graph(path).node if node.name == name), 0)
    return str(tf.dtypes.as_dtype(found).name) if found else ""


def find_feeding_tensor(path: Path, port: str) -> str:
    """Return the tensor that feeds the input port ``0:node``, as ``node:output``.

    Raises InputError for an unknown node.
    """
    number, _, name = port.partition(":")
    for node in read_graph(path).node:
        if node.name == name:
            reference = [item for item in node.input if not item.startswith("^")][int(number)]
            return reference if ":" in reference else f"{reference}:0"
    raise InputError(f"{path}: has no node {name}")


def make_runner(path: Path, *, feed: str, fetch: str, threads: int = 0) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function from the tensor named ``feed`` to the one named ``fetch`` (``node:0``)."""
    run = make_runner_of_all(path, feed=feed, fetches=(fetch,), threads=threads)
    return lambda value: run(value)[0]


def make_runner_of_all(
    path: Path, *, feed: str, fetches: Sequence[str], threads: int = 0
) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Return a function from the tensor named ``feed`` to those named ``fetches`` (``node:0``).

    Pictures are cast to the input's type, and transposed if it has channels first.
    """
    definition = read_graph(path)
    graph = tf.Graph()
    with _translate_errors(path), graph.as_default():
        tf.import_graph_def(definition, name="")
    options = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=threads)
    session = tf.compat.v1.Session(graph=graph, config=options)
    with _translate_errors(path):
        entry = graph.get_tensor_by_name(feed)
        call = session.make_callable(list(fetches), feed_list=[feed])
    kind, sides = entry.dtype.as_numpy_dtype, entry.shape.as_list() if entry.shape.rank else []
    channels_first = len(sides) == 4 and sides[1] == 3 and sides[3] != 3

    def run(value: np.ndarray) -> tuple[np.ndarray, ...]:
        with _translate_errors(path):
            return tuple(call(np.asarray(np.moveaxis(value, -1, 1) if channels_first else value, kind)))

    return run


def read_versions() -> dict[str, str]:
    """Return the library's version, by name."""
    return {"tensorflow": tf.__version__}
