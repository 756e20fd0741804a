"""TensorFlow graphs of all kinds, as one frozen GraphDef: frozen ones, SavedModels, Keras files."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from danmatte_workbench.artifact import SAVED, list_graph_files
from danmatte_workbench.errors import InputError, MachineError

# h5py and zipfile raise OSError and its like; Keras, whatever its layers raise.
_FAILURES = (
    tf.errors.OpError,
    DecodeError,
    ValueError,
    KeyError,
    TypeError,
    OSError,
    AttributeError,
    RuntimeError,
    ImportError,
)

tf.get_logger().setLevel("ERROR")


def is_frozen(path: Path) -> bool:
    """Whether the graph is one file with its weights as constants, and not a SavedModel's folder or a Keras file."""
    return not path.is_dir() and path.suffix.lower() not in (".keras", ".h5")


def read_graph(path: Path) -> tf.compat.v1.GraphDef:
    """Read the graph at ``path``, its variables made constants. The two last read are kept: don't change them.

    Raises InputError when there is none.
    """
    try:
        changed_at = max(file.stat().st_mtime_ns for file in list_graph_files(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', error)})") from error
    return _read_version(path, changed_at)


@lru_cache(maxsize=2)
def _read_version(path: Path, _changed_at: int) -> tf.compat.v1.GraphDef:
    if is_frozen(path):
        definition = tf.compat.v1.GraphDef()
        try:
            definition.ParseFromString(path.read_bytes())
        except OSError as error:
            raise InputError(f"{path}: can't be read ({error.strerror})") from error
        except DecodeError as error:
            hint = f"; a SavedModel is given by its folder, {path.parent}" if path.name == SAVED else ""
            raise InputError(f"{path}: isn't a frozen TensorFlow graph{hint}") from error
        if not definition.node:
            raise InputError(f"{path}: isn't a frozen TensorFlow graph: it has no nodes")
        return definition
    what, load = ("a SavedModel", _load_signature) if path.is_dir() else ("a Keras model", _load_keras_call)
    try:
        frozen = convert_variables_to_constants_v2(load(path))
    except _FAILURES as error:
        # The line that says what is wrong, without the traceback that TensorFlow writes into messages.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        spoken = [line for line in lines if not line.startswith(("in user code:", 'File "', "Arguments received"))]
        reason = next((line for line in spoken if "Error: " in line), spoken[0] if spoken else type(error).__name__)
        raise InputError(f"{path}: TensorFlow can't read it as {what}: {reason}") from error
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        node.attr.pop("_output_shapes", None)  # they hold for the batch and size of the export only
    return definition


@contextmanager
def freeze_to_file(path: Path) -> Iterator[Path]:
    """The graph as a frozen ``.pb``: ``path`` itself, or a file that lasts as long as the context."""
    if is_frozen(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        file = Path(folder) / f"{path.stem}.pb"
        file.write_bytes(read_graph(path).SerializeToString(deterministic=True))
        yield file


def _load_signature(path: Path) -> Any:
    """The SavedModel's serving function, or its only one."""
    loaded = tf.saved_model.load(str(path))
    known = dict(loaded.signatures)
    chosen = known.get("serving_default") or (next(iter(known.values())) if len(known) == 1 else None)
    if chosen is None:
        raise ValueError(f"expected a signature serving_default, found {', '.join(sorted(known)) or 'none'}")
    chosen._backref = loaded  # its variables live only as long as the loaded object does
    return chosen


def _load_keras_call(path: Path) -> Any:
    """The Keras model's prediction as a function of its one input, one picture at a time."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise MachineError(f"{path}: needs Keras on TensorFlow, and KERAS_BACKEND says {keras.backend.backend()}")
    model = keras.models.load_model(path, compile=False)
    if len(model.inputs) != 1:
        raise ValueError(f"expected one input, found {[tensor.name for tensor in model.inputs]}")
    given = model.inputs[0]
    spec = tf.TensorSpec((1, *given.shape[1:]), given.dtype, name="image")
    return tf.function(lambda image: model(image, training=False)).get_concrete_function(spec)
