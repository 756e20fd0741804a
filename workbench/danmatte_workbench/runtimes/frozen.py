"""TensorFlow graphs of all kinds (frozen, SavedModel, Keras, meta graph) as one frozen GraphDef."""

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised anyway, and missing GPU drivers are no error

import numpy as np
from google.protobuf.message import DecodeError

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.artifact import SAVED, list_graph_files
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.processes.silence import silence_stderr
from danmatte_workbench.reading import PLAIN, ReadOptions, Value
from danmatte_workbench.runtimes.causes import explain

with silence_stderr():  # its libraries write to stderr when they are loaded, whatever the log level
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
    from tensorflow.python.grappler import tf_optimizer

# h5py and zipfile raise OSError and similar ones; Keras passes on whatever its layers raise.
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
    IndexError,
    NotImplementedError,
)
_MADE_BY_TRAINING = frozenset({"Assign", "AssignVariableOp", "AssignAdd", "AssignSub", "NoOp", "SaveV2", "Placeholder"})

tf.get_logger().setLevel("ERROR")


@dataclass(frozen=True)
class _Loaded:
    """A function that TensorFlow can freeze, and the names of its outputs; empty if there are none."""

    function: Any
    names: tuple[str, ...]


def is_frozen(path: Path) -> bool:
    """Return whether the graph is a single file with its weights as constants, neither SavedModel nor Keras file."""
    return not path.is_dir() and path.suffix.lower() not in (".keras", ".h5", ".meta")


def read_graph(path: Path, options: ReadOptions = PLAIN) -> tf.compat.v1.GraphDef:
    """Read the graph at ``path``, with its variables as constants.

    The last two results are cached, so don't change them. Raises InputError if the graph is missing or needs other
    options.
    """
    try:
        changed_at = max(file.stat().st_mtime_ns for file in list_graph_files(path))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: can't be read ({getattr(error, 'strerror', error)})") from error
    return _read_version(path, options, changed_at)


@lru_cache(maxsize=2)
def _read_version(path: Path, options: ReadOptions, _changed_at: int) -> tf.compat.v1.GraphDef:
    if options.signature and not path.is_dir():
        raise InputError(f"{path}: only SavedModels have signatures; omit --signature")
    if path.suffix.lower() == ".meta" or options.checkpoint:
        definition = _read_checkpoint(path, options.checkpoint or path.with_suffix(""))
    elif is_frozen(path):
        definition = _read_definition(path)
    elif path.is_dir():
        definition = _freeze(path, "a SavedModel", lambda: _load_signature(path, options.signature))
    else:
        definition = _freeze(path, "a Keras model", lambda: _load_keras_call(path, options))
    _freeze_inputs(definition, options.freeze, path)
    if options.freeze and any(node.op == "Switch" for node in definition.node):
        try:
            definition = _drop_dead_branches(definition)
        except _FAILURES as error:
            raise InputError(
                f"{path}: TensorFlow can't remove the branches that are never taken: {explain(error)}"
            ) from error
    return definition


def _read_definition(path: Path) -> tf.compat.v1.GraphDef:
    definition = tf.compat.v1.GraphDef()
    try:
        definition.ParseFromString(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: can't be read ({error.strerror})") from error
    except DecodeError as error:
        hint = f"; for a SavedModel, give its folder, {path.parent}" if path.name == SAVED else ""
        raise InputError(f"{path}: isn't a frozen TensorFlow graph{hint}") from error
    if not definition.node:
        raise InputError(f"{path}: isn't a frozen TensorFlow graph: it has no nodes")
    return definition


def _freeze(path: Path, what: str, load: Callable[[], _Loaded]) -> tf.compat.v1.GraphDef:
    try:
        loaded = load()
        frozen = convert_variables_to_constants_v2(loaded.function)
    except _FAILURES as error:
        raise InputError(f"{path}: TensorFlow can't read it as {what}: {explain(error)}") from error
    definition = frozen.graph.as_graph_def()
    for node in definition.node:
        node.attr.pop("_output_shapes", None)  # they are valid for the exported batch and size only
    _rename_outputs(definition, [tensor.op.name for tensor in frozen.outputs], loaded.names)
    return definition


def _rename_outputs(definition: tf.compat.v1.GraphDef, nodes: Sequence[str], names: Sequence[str]) -> None:
    """Give the graph's output nodes their original names, in place, because freezing renames them."""
    if len(nodes) != len(names) or len({*nodes}) != len(nodes) or len({*names}) != len(names):
        return
    taken = {node.name for node in definition.node}
    wanted = {
        old: name if name not in taken else f"{name}/output" for old, name in zip(nodes, names, strict=True) if name
    }
    for node in definition.node:
        node.name = wanted.get(node.name, node.name)
        for number, reference in enumerate(node.input):
            mark = "^" if reference.startswith("^") else ""
            source, colon, port = reference.removeprefix("^").partition(":")
            node.input[number] = f"{mark}{wanted.get(source, source)}{colon}{port}"


def _freeze_inputs(definition: tf.compat.v1.GraphDef, values: Sequence[tuple[str, Value]], path: Path) -> None:
    """Replace these inputs by constants, in place."""
    inputs = {node.name: node for node in definition.node if node.op in ("Placeholder", "PlaceholderWithDefault")}
    for name, value in values:
        node = inputs.get(name.removesuffix(":0"))
        if node is None:
            raise InputError(f"{path}: --freeze: has no input {name}{did_you_mean(name, sorted(inputs))}")
        kind = tf.dtypes.as_dtype(node.attr["dtype"].type)
        shape = [side.size for side in node.attr["shape"].shape.dim]
        if kind == tf.string or kind.is_bool != isinstance(value, bool):
            raise InputError(f"{path}: --freeze: input {node.name} takes {kind.name}, received {value!r}")
        filled = np.full([max(1, side) for side in shape], value, kind.as_numpy_dtype)
        constant = tf.compat.v1.NodeDef(name=node.name, op="Const")
        constant.attr["dtype"].type = kind.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(filled))
        node.CopyFrom(constant)


def _drop_dead_branches(definition: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Return the graph without branches that a constant condition never takes, by TensorFlow's optimizer (grappler)."""
    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(definition, name="")
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.optimizers[:] = ["constfold", "loop", "pruning"]
    config.graph_options.rewrite_options.min_graph_nodes = -1  # optimize graphs of any size
    meta = tf.compat.v1.train.export_meta_graph(graph_def=definition, graph=graph)
    inputs = {node.name for node in definition.node if node.op == "Placeholder"}
    reached, before = {*inputs}, 0
    while len(reached) > before:  # repeated, because nodes of branches may precede those that feed them
        before = len(reached)
        feeding = ((node.name, reference.partition(":")[0]) for node in definition.node for reference in node.input)
        reached |= {name for name, source in feeding if source in reached}
    kept = [end for end in _find_ends(definition) if end in reached and end not in inputs]
    meta.collection_def["train_op"].node_list.value.extend(kept)
    return tf_optimizer.OptimizeGraph(config, meta)


@contextmanager
def freeze_to_file(path: Path, options: ReadOptions = PLAIN) -> Iterator[Path]:
    """Yield the graph as a frozen ``.pb``: ``path`` itself, or a temporary file."""
    if is_frozen(path) and options == PLAIN:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="workbench-") as folder:
        file = Path(folder) / f"{path.stem}.pb"
        file.write_bytes(read_graph(path, options).SerializeToString(deterministic=True))
        yield file


def _load_signature(path: Path, name: str) -> _Loaded:
    """Load the SavedModel's function of that name; for an empty name, its serving function, or its only one."""
    loaded = tf.saved_model.load(str(path))
    known = dict(loaded.signatures)
    if name and name not in known:
        raise InputError(f"{path}: has no signature {name}{did_you_mean(name, sorted(known))}")
    chosen = known.get(name or "serving_default") or (next(iter(known.values())) if len(known) == 1 else None)
    if chosen is None and not known:
        raise InputError(f"{path}: has no signature, so it has no function to call; export it with one")
    if chosen is None:
        raise InputError(f"{path}: has the signatures {', '.join(sorted(known))}; choose one with --signature")
    chosen._backref = loaded  # keeps the loaded object alive, which owns the variables
    return _Loaded(chosen, _name_structure(chosen.structured_outputs))


def _name_structure(outputs: Any, others: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the keys of named outputs, in TensorFlow's order of tensors; ``others`` if the outputs have no names."""
    return tuple(sorted(outputs)) if isinstance(outputs, dict) else tuple(others)


def _load_keras_call(path: Path, options: ReadOptions) -> _Loaded:
    """Load the Keras model's prediction as a function of its inputs, with a batch of one picture."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise MachineError(f"{path}: needs Keras on TensorFlow, but KERAS_BACKEND is {keras.backend.backend()}")
    model = keras.models.load_model(path, compile=False, safe_mode=not options.trust_lambda)
    given = _find_inputs(model, path, options)
    single = len(tf.nest.flatten(given)) == 1

    def describe(tensor: Any) -> tf.TensorSpec:
        shape = options.shape if single and options.shape else (1, *tensor.shape[1:])
        return tf.TensorSpec(shape, tensor.dtype, name=tensor.name)

    specs = tf.nest.map_structure(describe, given)
    call = tf.function(lambda values: model(values, training=False))
    try:
        traced = call.get_concrete_function(specs)
    except _FAILURES as error:
        if options.shape or all(None not in spec.shape for spec in tf.nest.flatten(specs)):
            raise
        hint = "it can't be read without a picture size; give one: --input_shape [1,H,W,3]"
        raise InputError(f"{path}: {hint} ({explain(error)})") from error
    names = getattr(model, "output_names", None) or [layer.name for layer in getattr(model, "layers", [])[-1:]]
    return _Loaded(traced, _name_structure(traced.structured_outputs, names))


def _find_inputs(model: Any, path: Path, options: ReadOptions) -> Any:
    """Return the model's inputs: a tensor, or a structure of several.

    Raises InputError if the file doesn't state them. Sequential models have ``inputs``, but no ``input`` before they
    are called.
    """
    try:
        given = model.inputs
    except AttributeError:  # the model was never built for a shape
        given = None
    if not given and options.shape:
        return tf.TensorSpec(options.shape, tf.float32, name="input")
    if not given:
        raise InputError(f"{path}: the file doesn't state a picture size; give one: --input_shape [1,H,W,3]")
    structure = getattr(model, "input", given[0])
    return structure if isinstance(structure, dict | list | tuple) else given[0]


def _read_checkpoint(path: Path, checkpoint: Path) -> tf.compat.v1.GraphDef:
    """Read a TensorFlow 1 graph with the values of its variables from files with the prefix ``checkpoint``."""
    if not checkpoint.with_name(f"{checkpoint.name}.index").is_file():
        raise InputError(f"{path}: found no checkpoint {checkpoint}.index; name it with --input_checkpoint")
    graph = tf.Graph()
    try:
        with graph.as_default(), tf.compat.v1.Session(graph=graph) as session:
            if path.suffix.lower() == ".meta":
                tf.compat.v1.train.import_meta_graph(str(path), clear_devices=True).restore(session, str(checkpoint))
            else:
                tf.import_graph_def(_read_definition(path), name="")
                _assign_variables(session, tf.train.load_checkpoint(str(checkpoint)))
            definition = graph.as_graph_def()
            ends = _find_ends(definition)
            return tf.compat.v1.graph_util.convert_variables_to_constants(session, definition, ends)
    except _FAILURES as error:
        raise InputError(f"{path}: TensorFlow can't freeze it with {checkpoint}: {explain(error)}") from error


def _assign_variables(session: tf.compat.v1.Session, values: Any) -> None:
    """Assign each variable of the session's graph its value, using the operation that would initialise it."""
    known = values.get_variable_to_shape_map()
    for node in session.graph.as_graph_def().node:
        if node.op in ("Assign", "AssignVariableOp") and node.name == f"{node.input[0]}/Assign":
            name = node.input[0]
            if name not in known:
                raise ValueError(f"the checkpoint has no variable {name}{did_you_mean(name, sorted(known))}")
            first = session.graph.get_operation_by_name(node.name).inputs[1]
            session.run(node.name, {first: values.get_tensor(name)})


def _find_ends(definition: tf.compat.v1.GraphDef) -> list[str]:
    used = {reference.removeprefix("^").partition(":")[0] for node in definition.node for reference in node.input}
    return [node.name for node in definition.node if node.name not in used and node.op not in _MADE_BY_TRAINING]
