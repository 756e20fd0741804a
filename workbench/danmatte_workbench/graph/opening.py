"""Reading whole graphs of all formats with OpenVINO: own outputs, own names, and inputs frozen by options."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from danmatte.contract.near_words import did_you_mean
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.graph.anatomy import Anatomy
from danmatte_workbench.graph.layers import extract
from danmatte_workbench.graph.ports import list_names
from danmatte_workbench.processes.silence import silence_stderr
from danmatte_workbench.reading import PLAIN, ReadOptions
from danmatte_workbench.runtimes.core import open_core
from danmatte_workbench.runtimes.openvino import save, translate_errors

_OPENVINO_READS = (".tflite", ".onnx", ".xml")


def is_tensorflow(path: Path) -> bool:
    """Return whether TensorFlow made the graph: frozen, SavedModel, Keras or meta graph."""
    return path.is_dir() or path.suffix.lower() not in _OPENVINO_READS


@contextmanager
def open_readable(path: Path) -> Iterator[Path]:
    """Yield a file that OpenVINO can read; SavedModels, Keras files and meta graphs are frozen first."""
    if not path.is_dir() and path.suffix.lower() in (".pb", *_OPENVINO_READS):
        yield path
        return
    from danmatte_workbench.runtimes import frozen

    with frozen.freeze_to_file(path) as file:
        yield file


def load_whole(path: Path) -> ov.Model:
    """Return the whole graph from OpenVINO's own converter, with any number of inputs and with dynamic sizes.

    For TensorFlow graphs, only real outputs are kept, not ends of loops and checks. They are named like nodes and
    tensors (``node:0``).
    """
    # OpenVINO tries the readers of all formats in turn; each writes to stderr that it can't read the file.
    with open_readable(path) as file, translate_errors(path), silence_stderr():
        model = open_core().read_model(file) if file.suffix.lower() == ".xml" else ov.convert_model(file)
    if not is_tensorflow(path):
        return model
    ends = Anatomy.from_tensorflow(path).find_ends()
    named = {end: port for end in ends for port in model.outputs if {end, f"{end}:0"} & port.get_names()}
    kept = {port.get_node() for port in named.values()}
    if kept and len(kept) < len(model.outputs):
        values = [port.get_node().input_value(0) for port in model.outputs if port.get_node() in kept]
        model = extract(model, values, model.get_friendly_name())
    for port in (*model.inputs, *model.outputs):
        names = {name.removesuffix(":0") for name in port.get_names()}
        own = names & {*ends} or names
        port.get_tensor().set_names({*own, *(f"{name}:0" for name in own)})
    return model


def prepare(path: Path, options: ReadOptions, folder: Path) -> Path:
    """Return a file from which the graph can be read without options: ``path`` itself, or a new file in ``folder``.

    Raises InputError if the options don't apply to the graph, and MachineError if the file can't be written.
    """
    keras = path.suffix.lower() in (".keras", ".h5")
    if options == (PLAIN if keras else replace(PLAIN, shape=options.shape)):
        return path
    if is_tensorflow(path):
        from danmatte_workbench.runtimes import frozen

        target = folder / f"{path.stem}.pb"
        unfinished = target.with_suffix(f".{os.getpid()}")  # because another run may be reading the target
        with frozen.freeze_to_file(path, options) as file:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, unfinished)
                unfinished.replace(target)
            except OSError as error:
                raise MachineError(f"{target}: can't be written ({error.strerror})") from error
        return target
    for flag, value in (("--signature", options.signature), ("--input_checkpoint", options.checkpoint)):
        if value:
            raise InputError(f"{path}: {flag} is for TensorFlow graphs only; omit it")
    if not options.freeze:
        return path
    model = load_whole(path)
    freeze_inputs(model, options, path)
    return save(model, folder / f"{path.stem}.xml").path


def freeze_inputs(model: ov.Model, options: ReadOptions, path: Path) -> None:
    """Replace the inputs that the options name by constants, in place. Raises InputError for an unknown input."""
    for name, value in options.freeze:
        port = next((port for port in model.inputs if name in list_names(port)), None)
        if port is None:
            known = [port.get_node().get_friendly_name() for port in model.inputs]
            raise InputError(f"{path}: --freeze: has no input {name}{did_you_mean(name, known)}")
        kind, shape = port.get_element_type(), port.get_partial_shape()
        if isinstance(value, bool) != (kind == ov.Type.boolean):
            raise InputError(f"{path}: --freeze: input {name} takes {kind.get_type_name()}, received {value!r}")
        sides = [] if shape.rank.is_dynamic else [side.get_length() if side.is_static else 1 for side in shape]
        parameter = port.get_node()
        parameter.output(0).replace(ops.constant(np.full(sides, value, kind.to_dtype())).output(0))
        model.remove_parameter(parameter)
    model.validate_nodes_and_infer_types()
