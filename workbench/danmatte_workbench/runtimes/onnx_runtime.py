"""ONNX graphs in ONNX Runtime, the stock runtime that they are timed against if it is installed."""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.runtimes.causes import explain

# Its exceptions have no common base class, but all are defined in this module.
_STATE = "onnxruntime.capi.onnxruntime_pybind11_state"
_FAILURES = ("EPFail", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NoSuchFile")
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(uint8)": np.uint8}


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    state = importlib.import_module(_STATE)
    own = [getattr(state, name) for name in (*_FAILURES, "NotImplemented", "RuntimeException")]
    try:
        yield
    except (RuntimeError, ValueError, *own) as error:
        raise InputError(f"{path}: ONNX Runtime can't run it: {explain(error)}") from error


def make_runner(path: Path, *, fetches: Sequence[str], threads: int) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Return a function from (1, H, W, 3) pictures to the outputs named ``fetches``; to all outputs if it is empty.

    Pictures are cast to the input's type, and transposed if it has channels first. Raises MachineError if ONNX Runtime
    isn't installed, and InputError for a graph that it can't run or that takes no picture.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MachineError("ONNX Runtime isn't installed: pip install onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with _translate_errors(path):
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type not in _TYPES:
        named = ", ".join(f"{port.name} {port.type} {port.shape}" for port in inputs)
        raise InputError(f"{path}: expected one input, a picture, found {named}")
    name, kind = inputs[0].name, _TYPES[inputs[0].type]
    channels_first = inputs[0].shape[3] != 3 or inputs[0].shape[1] == 3
    known = [port.name for port in session.get_outputs()]
    if unknown := [each for each in fetches if each not in known]:
        raise InputError(f"{path}: has no output {unknown[0]}; it has {', '.join(known)}")
    wanted = list(fetches or known)

    def run(picture: np.ndarray) -> tuple[np.ndarray, ...]:
        value = np.moveaxis(picture, -1, 1) if channels_first else picture
        with _translate_errors(path):
            return tuple(map(np.asarray, session.run(wanted, {name: np.ascontiguousarray(value, kind)})))

    return run
