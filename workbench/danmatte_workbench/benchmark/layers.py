"""Profiling of a graph, layer by layer."""

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from danmatte.contract.configuration import Configuration
from danmatte.contract.framing import Framing
from danmatte_workbench.artifact import Artifact
from danmatte_workbench.dataset import SAMPLES, load
from danmatte_workbench.errors import InputError
from danmatte_workbench.processes.limits import measure_memory_gib

RUNS = 30
_NO_KERNEL = ("", "undef", "unknown")
_NUMBERS = {"f32": "float32", "f16": "float16", "u8": "uint8", "i32": "int32", "i64": "int64"}


@dataclass(frozen=True)
class LayerTime:
    """One executed layer.

    kind: OpenVINO's name of the layer type. precision: in which it computes. ms: median of the runs. operations: number
    of multiply-add operations. size_bytes: size of inputs and outputs. weights: their shape. stays_float: why it
    doesn't compute in 8 bits although other layers do. source: its name in the source graph, if known.
    """

    name: str
    kind: str
    precision: str
    kernel: str
    ms: float
    operations: int = 0
    size_bytes: int = 0
    weights: tuple[int, ...] = ()
    stays_float: str = ""
    source: str = ""


@dataclass(frozen=True)
class TimeShare:
    """Total time of all layers of one kind or precision, ``word``; ``part`` is its share of the whole, 0 to 1."""

    word: str
    layers: int
    ms: float
    part: float


class GraphFile(Protocol):
    """Anything with the path of an IR, such as an artifact or a subject."""

    @property
    def path(self) -> Path:
        """Path of the ``.xml`` file."""
        ...


def profile_layers(
    graph: GraphFile, configuration: Configuration, pictures: Sequence[np.ndarray], *, runs: int = RUNS
) -> tuple[LayerTime, ...]:
    """Time each layer on one stream, and return the layers in the order of execution.

    pictures: in the graph's input shape. Raises InputError for a graph that isn't an IR.
    """
    from danmatte_workbench.runtimes import profiling

    if graph.path.suffix != ".xml":
        raise InputError(f"{graph.path}: expected an IR (.xml) to profile; convert it first")
    times = profiling.time_layers(graph.path, configuration, pictures, runs=runs)
    facts, layers = profiling.describe_layers(graph.path, configuration), []
    for (name, kind, executed), taken in times.items():
        kernel, precision = _split_kernel(executed)
        layer = LayerTime(name, kind, precision, kernel, float(np.median(taken)))
        if known := facts.get(name):
            layer = replace(
                layer,
                operations=known.operations,
                size_bytes=known.size_bytes,
                weights=known.kernel,
                stays_float=known.stays_float,
            )
        layers.append(layer)
    return tuple(layers)


def list_source_kernels(path: Path) -> list[tuple[str, tuple[int, ...]]]:
    """Return the names of a source's convolutions with the shapes of their kernels, in order; empty for TFLite.

    Raises InputError if the file can't be read.
    """
    if path.suffix in (".onnx", ".xml"):
        from danmatte_workbench.runtimes import openvino

        nodes = [node for node in openvino.read(path).get_ordered_ops() if "Convolution" in node.get_type_name()]
        known = [node for node in nodes if node.input_value(1).get_partial_shape().is_static]
        return [(node.get_friendly_name(), tuple(node.input_value(1).get_shape())) for node in known]
    if path.suffix == ".tflite":
        return []
    from danmatte_workbench.runtimes import tensorflow

    return tensorflow.list_kernels(path)


def take_names(layers: Sequence[LayerTime], kernels: Iterable[tuple[str, tuple[int, ...]]]) -> tuple[LayerTime, ...]:
    """Return the layers with the names from the source's file, assigned in order to kernels of the same shape."""
    waiting: dict[tuple[int, ...], list[str]] = {}
    for name, shape in kernels:
        waiting.setdefault(shape, []).append(name)
    found = []
    for layer in layers:
        names = waiting.get(tuple(layer.weights)) if layer.weights else None
        found.append(replace(layer, source=names.pop(0)) if names else layer)
    return tuple(found)


def name_by_source(source: Sequence[LayerTime], layers: Sequence[LayerTime]) -> tuple[LayerTime, ...]:
    """Return the layers, those with weights named as in the source; conversion and pruning keep their order.

    source: the source's layers. Names are assigned from the first layer on, until a kernel has another window or number
    of axes than the source's.
    """
    names = [layer for layer in source if layer.weights]
    found, place, alike = [], 0, True
    for layer in layers:
        if layer.weights:
            own = names[place].weights if place < len(names) else ()
            # The same number of axes (depthwise or not) and the same window; numbers of channels may differ.
            alike = alike and len(own) == len(layer.weights) and own[-2:] == layer.weights[-2:]
            layer = replace(layer, source=names[place].source or names[place].name) if alike else layer
            place += 1
        found.append(layer)
    return tuple(found)


def time_start(path: Path, configuration: Configuration, picture: np.ndarray) -> dict[str, float | int]:
    """Return the milliseconds to compile the graph and for its first inference, and this process' memory then."""
    from danmatte_workbench.runtimes import openvino

    started = time.perf_counter()
    request = openvino.compile_file(path, configuration).create_infer_request()
    compiled = time.perf_counter()
    request.infer({0: picture})
    ended = time.perf_counter()
    memory = int(measure_memory_gib(os.getpid()) * 2**30)
    return {"compile_ms": 1000 * (compiled - started), "first_ms": 1000 * (ended - compiled), "memory_bytes": memory}


def _split_kernel(executed: str) -> tuple[str, str]:
    """Return kernel and precision of OpenVINO's name, such as ``brgconv_avx512_I8``."""
    kernel, _, precision = executed.rpartition("_")
    return "" if kernel in _NO_KERNEL else kernel, precision.lower().replace("fp", "f")


def sum_up(layers: Iterable[LayerTime], word: Callable[[LayerTime], str]) -> tuple[TimeShare, ...]:
    """Return the total times of layers grouped by ``word``, such as kind or precision, the largest first."""
    layers = list(layers)
    total = sum(layer.ms for layer in layers) or 1.0
    groups: dict[str, list[float]] = {}
    for layer in layers:
        groups.setdefault(word(layer), []).append(layer.ms)
    found = (TimeShare(name, len(times), sum(times), sum(times) / total) for name, times in groups.items())
    return tuple(sorted(found, key=lambda share: -share.ms))


def pair_layers(
    before: Sequence[LayerTime], after: Sequence[LayerTime]
) -> tuple[tuple[LayerTime | None, LayerTime | None], ...]:
    """Pair the layers of two graphs, in the order of the first; None where a layer has no partner.

    Layers of a kind that both graphs have in equal number are paired in order, because quantization renames layers.
    Others are paired by name.
    """
    counts = [Counter(layer.kind for layer in layers) for layers in (before, after)]
    alike = {kind for kind in counts[0] if counts[0][kind] == counts[1][kind]}
    waiting: dict[tuple[str, str], list[LayerTime]] = {}
    for layer in after:
        waiting.setdefault(_compose_key(layer, alike), []).append(layer)
    found: list[tuple[LayerTime | None, LayerTime | None]] = []
    for layer in before:
        partners = waiting.get(_compose_key(layer, alike))
        found.append((layer, partners.pop(0) if partners else None))
    left = {id(layer) for layers in waiting.values() for layer in layers}
    return (*found, *((None, layer) for layer in after if id(layer) in left))


def _compose_key(layer: LayerTime, alike: set[str]) -> tuple[str, str]:
    return (layer.kind, "" if layer.kind in alike else layer.name)


def make_inputs(artifact: Artifact, folder: Path = SAMPLES, *, limit: int = 4) -> list[np.ndarray]:
    """Return pictures of the folder in the graph's input shape, or noise if its input isn't uint8 RGB.

    Raises InputError for a graph whose input isn't a single array of numbers of a fixed size.
    """
    if len(artifact.inputs) != 1:
        raise InputError(f"{artifact.path}: expected one input, found {len(artifact.inputs)}")
    (port,) = artifact.inputs
    if port.dtype == "u8" and len(port.shape) == 4 and port.shape[3] == 3 and min(port.shape) > 0:
        framing = Framing((port.shape[1], port.shape[2]))
        return [framing.fit_exactly(frame.pixels) for frame in load(folder).pick(limit)]
    if min(port.shape) < 1:
        raise InputError(f"{artifact.path}: expected an input of fixed size, found {list(port.shape)}")
    if port.dtype not in _NUMBERS:
        raise InputError(f"{artifact.path}: expected an input of {', '.join(_NUMBERS)}, found {port.dtype}")
    kind = np.dtype(_NUMBERS[port.dtype])
    noise = np.random.default_rng(0).uniform(0, 1 if kind.kind == "f" else 255, port.shape)
    return [noise.astype(kind)]
