"""The OpenVINO engine: one or several compiled graphs, and a fixed set of infer requests."""

from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import Input, PictureInput, RegionsOutput
from danmatte.contract.shapes import SideRange, fits_shape, format_shape
from danmatte.engine.cache import GraphCache
from danmatte.engine.compilation import compile_graph, find_ports
from danmatte.engine.protocol import Arrays, Engine, to_numpy
from danmatte.engine.streams import plan_streams
from danmatte.errors import EngineError, ModelError, TensorError

# Relative tolerances of repeated outputs: for the same batch size, and for another one, which may be computed in
# another order, possibly in half precision.
_SAME, _ALIKE = 1e-3, 0.03
_NARROWED = {"i64", "u64", "u32"}  # OpenVINO's CPU plugin computes these in 32 bits, and would wrap them silently
_OUTSIDE = 0.01  # how far a probability may lie outside of 0 to 1


class OpenVinoEngine(Engine):
    """A version's graph, compiled for the available cores; a call takes an infer request, or waits for one."""

    def __init__(
        self, manifest: Manifest, graph: bytes, weights: bytes, cores: int, cache: GraphCache | None = None
    ) -> None:
        """Compile the graph, and test and warm up all infer requests, which takes seconds; raises ModelError."""
        super().__init__(manifest)
        self.batch = manifest.configuration.batch
        plan = plan_streams(manifest, cores)
        try:
            lanes = compile_graph(manifest, (graph, weights), plan, cache)
            self.precision = str(lanes[0].get_property("INFERENCE_PRECISION_HINT").to_string())
            wanted = plan.requests or lanes[0].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            requests = [lane.create_infer_request() for lane in lanes for _ in range(wanted)]
            self._feeds = find_ports(lanes[0].inputs, manifest.inputs)
            self._fetches = find_ports(lanes[0].outputs, manifest.outputs)
            self._maps = [isinstance(port, RegionsOutput) for port in manifest.outputs]
            self._wide = [number for number, port in enumerate(manifest.inputs) if port.dtype in _NARROWED]
            self._check_answers(requests)
        except RuntimeError as error:
            raise ModelError(f"{manifest.name}/{manifest.version}: OpenVINO: {error}") from error
        self.concurrency = len(requests)
        alone = manifest.configuration.device == "CPU" and self.batch == 1
        self.runs_in_caller = alone and len(requests) >= cores  # with fewer requests, threads would wait for one
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for request in requests:
            self._idle.put(request)

    def compute(self, inputs: Arrays) -> Arrays:
        """As the base class says."""
        self.check(inputs, self.batch)
        for number in self._wide:
            _check_range(self.manifest.inputs[number].name, inputs[number])
        # Synchronous calls, each in its thread, are as fast as AsyncInferQueue (within 4 %), and no request can be
        # freed while it runs: freeing such a queue early crashed OpenVINO 2026.4.
        request = self._idle.get()
        try:
            return self._run(request, inputs)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO: {error}") from error
        finally:
            self._idle.put(request)

    def _run(self, request: ov.InferRequest, inputs: Arrays) -> Arrays:
        outputs = self._call(request, inputs)
        # Copied, because the next call overwrites the request's memory; clipping makes a copy, too.
        return tuple(
            values.clip(0, 1) if is_map else np.array(values)
            for values, is_map in zip(outputs, self._maps, strict=True)
        )

    def _call(self, request: ov.InferRequest, inputs: Arrays) -> list[npt.NDArray[Any]]:
        """Return the outputs as views of the request's memory."""
        shared: Any
        if len(inputs) == 1:
            shared = _share(inputs[0])
        else:
            shared = {feed: _share(values) for feed, values in zip(self._feeds, inputs, strict=True)}
        outputs = request.infer(shared, share_inputs=True, share_outputs=True)
        return [outputs[fetch] for fetch in self._fetches]

    def _check_answers(self, requests: list[ov.InferRequest]) -> None:
        """Run fixed inputs with every request, alone and in batches; check shapes, values and repeatability."""
        items = [_invent_inputs(self.manifest.inputs, seed) for seed in range(self.batch)]
        alone = [self._check_outputs(requests[0], item) for item in items]
        first = tuple(np.concatenate(parts) if self.batch > 1 else parts[0] for parts in zip(*alone, strict=True))
        for request in requests:
            for count in sorted({1, min(2, self.batch), self.batch}):
                together = tuple(np.concatenate(parts) for parts in zip(*items[:count], strict=True))
                again = self._run(request, together if count > 1 else items[0])
                for port, one, other in zip(self.manifest.outputs, first, again, strict=True):
                    expected = one[:count] if self.batch > 1 else one
                    _check_same(port.name, expected, other, count)

    def _check_outputs(self, request: ov.InferRequest, inputs: Arrays) -> Arrays:
        """Return the graph's outputs; raises ModelError if they don't match the manifest."""
        # With shared outputs, because an unshared call would write into the memory that the previous call shared.
        outputs = self._call(request, inputs)
        for port, values in zip(self.manifest.outputs, outputs, strict=True):
            if not fits_shape(port.shape, values.shape):
                expected = format_shape(port.shape)
                raise ModelError(f"graph.xml: output: {port.name}: expected {expected}, received {list(values.shape)}")
            if isinstance(port, RegionsOutput):
                low, high = float(values.min()), float(values.max())
                if not -_OUTSIDE <= low <= high <= 1 + _OUTSIDE:
                    raise ModelError(f"graph.xml: output: {port.name}: expected 0 to 1, received {low} to {high}")
            elif values.dtype.kind == "f" and not np.isfinite(values).all():
                raise ModelError(f"graph.xml: output: {port.name}: expected finite numbers, received infinity or NaN")
        return self._run(request, inputs)


def _share(values: npt.NDArray[Any]) -> ov.Tensor:
    """Return a tensor that shares the memory, which may be read-only, as a request's body is."""
    return ov.Tensor(np.ascontiguousarray(values), list(values.shape), ov.Type(values.dtype))


def _check_range(name: str, values: npt.NDArray[Any]) -> None:
    """Raise TensorError for integers that need more than 32 bits."""
    limits = np.iinfo(np.int32)
    if values.size and not limits.min <= values.min() <= values.max() <= limits.max:
        expected = f"{limits.min} to {limits.max}, because it is computed in 32 bits"
        raise TensorError(f"{name}: expected {expected}, received {values.min()} to {values.max()}")


def _invent_inputs(ports: tuple[Input, ...], seed: int) -> Arrays:
    """Return test inputs: noise for pictures, 0 to 1 for floats, zeros for integers, which may be table indices.

    Variable sides have their minimum length.
    """
    rng = np.random.default_rng(seed)
    found = []
    for port in ports:
        shape = [side.min if isinstance(side, SideRange) else side for side in port.shape]
        dtype = to_numpy(port.dtype)
        if isinstance(port, PictureInput):
            found.append(rng.integers(0, 256, shape, dtype=np.uint8).astype(dtype))
        else:
            found.append(rng.random(shape).astype(dtype) if dtype.kind == "f" else np.zeros(shape, dtype))
    return tuple(found)


def _check_same(name: str, expected: npt.NDArray[Any], received: npt.NDArray[Any], count: int) -> None:
    """Raise ModelError if repeated outputs differ."""
    if expected.shape != received.shape:
        raise ModelError(f"graph.xml: output: {name}: expected {expected.shape}, received {received.shape}")
    if not expected.size:
        return
    before, after = expected.astype(np.float64), received.astype(np.float64)
    apart = float(np.abs(after - before).max() / max(1.0, float(np.abs(before).max())))
    if not apart <= (_SAME if count == 1 else _ALIKE):
        wanted = "the same values twice" if count == 1 else f"the values of single items in a batch of {count}"
        raise ModelError(f"graph.xml: output: {name}: expected {wanted}, received values that differ by {apart:g}")
