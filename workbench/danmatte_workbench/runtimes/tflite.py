"""TFLite graphs in their own interpreter."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from danmatte_workbench.errors import InputError


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (ValueError, RuntimeError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise InputError(f"{path}: TFLite can't run it: {lines[0] if lines else error}") from error


def runner(
    path: Path, *, size: tuple[int, int], fetches: tuple[str, ...], threads: int
) -> Callable[[np.ndarray], tuple[np.ndarray, ...]]:
    """A function from (1, H, W, 3) pictures of ``size`` to the outputs named ``fetches``; all of them for none.

    Pictures are cast to the input's type, and put channels first where it has them so. Answers belong to the caller.
    """
    with _translated(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says that it will move to another package
        reader = tf.lite.Interpreter(str(path), num_threads=threads)
        entry = reader.get_input_details()[0]
        first = _channels_first(entry)
        shape = (1, 3, *size) if first else (1, *size, 3)
        if tuple(entry["shape"]) != shape:
            reader.resize_tensor_input(entry["index"], shape)
        reader.allocate_tensors()
    outputs = {detail["name"]: detail["index"] for detail in reader.get_output_details()}
    if unknown := [name for name in fetches if name not in outputs]:
        raise InputError(f"{path}: has no output {unknown[0]}; it has {', '.join(outputs)}")
    indices = [outputs[name] for name in fetches or outputs]

    def run(picture: np.ndarray) -> tuple[np.ndarray, ...]:
        value = np.moveaxis(picture, -1, 1) if first else picture
        if entry["dtype"] == np.int8 and picture.dtype == np.uint8:
            value = value.astype(np.int16) - 128
        with _translated(path):
            reader.set_tensor(entry["index"], np.ascontiguousarray(value, dtype=entry["dtype"]))
            reader.invoke()
            return tuple(reader.get_tensor(index) for index in indices)

    return run


def _channels_first(entry: dict[str, Any]) -> bool:
    shape = entry["shape"]
    return len(shape) == 4 and shape[1] == 3 and shape[3] != 3
