"""OpenVINO: a compiled graph or several, and a fixed set of infer requests."""

from queue import SimpleQueue

import numpy as np
import openvino as ov

from danmatte.contract.manifest import Manifest
from danmatte.engine.cache import GraphCache
from danmatte.engine.compilation import compile_graph
from danmatte.engine.protocol import Engine
from danmatte.engine.streams import plan_streams
from danmatte.errors import EngineError, ModelError
from danmatte.frame import Pixels, Probabilities

_SAME, _ALIKE = 1e-3, 0.03  # another batch may be computed in another order, in half precision, too


class OpenVinoEngine(Engine):
    """A version's graph, compiled for the cores that are here; a call takes an infer request, or waits for one."""

    def __init__(
        self, manifest: Manifest, graph: bytes, weights: bytes, cores: int, cache: GraphCache | None = None
    ) -> None:
        """Compiles, warms up and tests itself, which takes seconds; raises ModelError."""
        super().__init__(manifest)
        self.batch = manifest.configuration.batch
        plan = plan_streams(manifest, cores)
        try:
            lanes = compile_graph(manifest, (graph, weights), plan, cache)
            self.precision = str(lanes[0].get_property("INFERENCE_PRECISION_HINT").to_string())
            wanted = plan.requests or lanes[0].get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            requests = [lane.create_infer_request() for lane in lanes for _ in range(wanted)]
            _check_answers(requests, self._shape, self.batch)
        except RuntimeError as error:
            raise ModelError(f"{manifest.name}/{manifest.version}: OpenVINO: {error}") from error
        self.concurrency = len(requests)
        alone = manifest.configuration.device == "CPU" and self.batch == 1
        self.runs_in_caller = alone and len(requests) >= cores  # with fewer, threads would wait for a request
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for request in requests:
            self._idle.put(request)

    def infer(self, pictures: Pixels) -> Probabilities:
        """As the base class says."""
        self.check(pictures, self.batch)
        whole = np.ascontiguousarray(pictures)
        # A tensor made like this shares the memory, also where that is read-only, as a request's body is.
        shared = ov.Tensor(whole, list(whole.shape), ov.Type.u8)
        # Synchronous calls, a thread each, are as fast as AsyncInferQueue (within 4 %), and nothing can be freed while
        # it is in flight: freeing such a queue early crashed OpenVINO 2026.4.
        request = self._idle.get()
        try:
            outputs = request.infer(shared, share_inputs=True, share_outputs=True)
            # The request's own memory is written again by the next call; clipping copies it.
            values: Probabilities = outputs[0][..., 0].clip(0, 1)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO: {error}") from error
        finally:
            self._idle.put(request)
        return values


def _check_answers(requests: list[ov.InferRequest], shape: tuple[int, ...], batch: int) -> None:
    """Fixed pictures through every request, twice, and in batches: finite, in range, and always the same."""
    pictures = np.random.default_rng(0).integers(0, 256, (batch, *shape[1:]), dtype=np.uint8)
    first = np.concatenate([_infer_raw(requests[0], pictures[row : row + 1]) for row in range(batch)])
    if not np.isfinite(first).all() or first.min() < -0.01 or first.max() > 1.01:
        raise ModelError(f"graph.xml: output: expected 0 to 1, received {first.min()} to {first.max()}")
    for request in requests:
        for count in sorted({1, min(2, batch), batch}):
            again = _infer_raw(request, pictures[:count])
            if again.shape != first[:count].shape:
                raise ModelError(f"graph.xml: output: expected {first[:count].shape}, received {again.shape}")
            difference = float(np.abs(again - first[:count]).max())
            if difference > (_SAME if count == 1 else _ALIKE):
                expected = "the same twice" if count == 1 else f"a picture's own in a batch of {count}"
                raise ModelError(f"graph.xml: output: expected {expected}, received {difference:g} apart")


def _infer_raw(request: ov.InferRequest, pictures: Pixels) -> Probabilities:
    values: Probabilities = request.infer({0: pictures})[0]
    return values
