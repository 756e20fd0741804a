"""TFLite graphs in TFLite's own interpreter."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from danmatte_workbench.errors import InputError
from danmatte_workbench.processes.silence import silence_stderr
from danmatte_workbench.runtimes.causes import explain

with silence_stderr():
    import tensorflow as tf


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path}: TFLite can't run it: {explain(error)}") from error


def make_runner(
    path: Path, *, size: tuple[int, int], fetches: tuple[str, ...], threads: int
) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """Return a function from (1, H, W, 3) pictures of ``size`` to the outputs named ``fetches``; to all if it is empty.

    Pictures are cast to the input's type, and transposed if it has channels first. Outputs are copies.
    """
    with _translate_errors(path), warnings.catch_warnings(), silence_stderr():
        warnings.simplefilter("ignore", UserWarning)  # the interpreter warns that it will move to another package
        reader = tf.lite.Interpreter(str(path), num_threads=threads)
        entry = reader.get_input_details()[0]
        given = entry["shape"]
        channels_first = len(given) == 4 and given[1] == 3 and given[3] != 3
        shape = (1, 3, *size) if channels_first else (1, *size, 3)
        if tuple(given) != shape:
            reader.resize_tensor_input(entry["index"], shape)
        reader.allocate_tensors()
    outputs = {detail["name"]: detail["index"] for detail in reader.get_output_details()}
    if unknown := [name for name in fetches if name not in outputs]:
        raise InputError(f"{path}: has no output {unknown[0]}; it has {', '.join(outputs)}")
    indices = [outputs[name] for name in fetches or outputs]

    def run(picture: np.ndarray) -> tuple[np.ndarray, ...]:
        value = np.moveaxis(picture, -1, 1) if channels_first else picture
        if entry["dtype"] == np.int8 and picture.dtype == np.uint8:
            value = value.astype(np.int16) - 128  # graphs with signed bytes represent pixels this way
        with _translate_errors(path):
            reader.set_tensor(entry["index"], np.ascontiguousarray(value, dtype=entry["dtype"]))
            reader.invoke()
            return tuple(reader.get_tensor(index) for index in indices)

    return run


def read_tensors(path: Path) -> dict[str, tuple[np.ndarray, float, int]]:
    """Return the quantized constants of a TFLite graph by name: values, scale, zero point."""
    # Without delegates, because they repack the weights, which then can't be read.
    plain = tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with _translate_errors(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        reader = tf.lite.Interpreter(str(path), experimental_op_resolver_type=plain)
        reader.allocate_tensors()
    tensors = {}
    for detail in reader.get_tensor_details():
        quantization = detail["quantization_parameters"]
        if len(quantization["scales"]) != 1:
            continue
        try:
            values = reader.get_tensor(detail["index"])
        except ValueError:  # an activation, which has no stored values
            continue
        tensors[detail["name"]] = (values, float(quantization["scales"][0]), int(quantization["zero_points"][0]))
    return tensors
