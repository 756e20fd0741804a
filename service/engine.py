"""Inference: one picture in, the person's probabilities out, many at once."""

import asyncio
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import openvino as ov

from service.errors import EngineError, ModelError
from service.frame import Pixels, Probabilities
from service.manifest import Manifest

_Waiter: TypeAlias = "asyncio.Future[Probabilities]"


class Engine(Protocol):
    """What the rest of the service knows of a network."""

    @property
    def precision(self) -> str:
        """What it really computes in."""

    async def infer(self, picture: Pixels) -> Probabilities:
        """(1, H, W, 3) uint8 to (h, w) float32 in [0, 1]; may be called again before it has answered.

        Raises EngineError, also for everything in flight when the engine is closed.
        """

    def close(self) -> None:
        """Answers whatever waits with EngineError; to be called on the loop."""


@dataclass(frozen=True)
class Served:
    """A version and its engine; whoever holds it may go on using it after it was put aside."""

    manifest: Manifest
    engine: Engine


class OpenVinoEngine:
    """A compiled graph with a queue of infer requests.

    Requests are started from a thread of their own, as `start_async` blocks while all are busy. A caller
    who leaves before that is never computed for; one who leaves later costs nobody else anything.
    """

    def __init__(self, manifest: Manifest, graph: bytes, weights: bytes, cores: int) -> None:
        """Compiles and warms up, which takes seconds; raises ModelError."""
        self._shape = manifest.input.shape
        try:
            model = ov.Core().read_model(graph, weights)
            _check_ports(model, manifest)
            compiled = ov.Core().compile_model(model, manifest.configuration.device, _properties(manifest, cores))
            self.precision = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
            self._queue = ov.AsyncInferQueue(compiled, manifest.configuration.infer_requests)
            _check_values(compiled(np.zeros(self._shape, np.uint8))[0])
        except RuntimeError as error:
            raise ModelError(f"{manifest.name}/{manifest.version}: OpenVINO: {error}") from error
        self._queue.set_callback(_finished)
        self._waiters: set[_Waiter] = set()
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="infer")
        self._closed = False
        self._retire = weakref.finalize(self, _retire, self._starter, self._queue)

    async def infer(self, picture: Pixels) -> Probabilities:
        _check_picture(picture, self._shape, self._closed)
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        start = self._starter.submit(self._start, picture, waiter)
        try:
            return await waiter
        finally:
            start.cancel()
            self._waiters.discard(waiter)

    def close(self) -> None:
        self._closed = True
        for waiter in self._waiters:
            _settle(waiter, EngineError("the engine was closed"))
        self._retire()

    def _start(self, picture: Pixels, waiter: _Waiter) -> None:
        try:
            self._queue.start_async({0: picture}, userdata=(waiter, picture), share_inputs=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
            _settle_soon(waiter, EngineError(f"OpenVINO: {error}"))


def _retire(starter: ThreadPoolExecutor, queue: ov.AsyncInferQueue) -> None:
    """Keeps a queue until it is idle: freed with a request in flight, OpenVINO 2026.4 crashes the process."""
    try:
        starter.submit(queue.wait_all)
    except RuntimeError:  # the interpreter is going, and the starter is gone
        queue.wait_all()
    starter.shutdown(wait=False)


def _finished(request: Any, userdata: tuple[_Waiter, Pixels]) -> None:
    """Runs in OpenVINO's thread, and holds no engine, so that an engine nobody uses is freed."""
    waiter, _ = userdata
    try:
        values = request.get_output_tensor(0).data[0, :, :, 0]
        _settle_soon(waiter, np.clip(values, 0, 1))
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits for it
        _settle_soon(waiter, EngineError(f"OpenVINO: {error}"))


def _settle_soon(waiter: _Waiter, outcome: Probabilities | EngineError) -> None:
    with suppress(RuntimeError):  # a closed loop: nobody waits
        waiter.get_loop().call_soon_threadsafe(_settle, waiter, outcome)


def _settle(waiter: _Waiter, outcome: Probabilities | EngineError) -> None:
    if waiter.done():  # its caller left
        return
    if isinstance(outcome, EngineError):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)


def _properties(manifest: Manifest, cores: int) -> dict[str, Any]:
    """OpenVINO's properties for the manifest's configuration (docs.openvino.ai, CPU device)."""
    wanted = manifest.configuration
    chosen: dict[str, Any] = {
        "PERFORMANCE_HINT": wanted.hint.upper(),
        "INFERENCE_PRECISION_HINT": wanted.precision,
    }
    if wanted.device == "CPU":
        chosen["INFERENCE_NUM_THREADS"] = min(wanted.threads or cores, cores)
    if wanted.streams:
        chosen["NUM_STREAMS"] = wanted.streams
    if wanted.infer_requests:
        chosen["PERFORMANCE_HINT_NUM_REQUESTS"] = wanted.infer_requests
    return chosen


def _check_ports(model: ov.Model, manifest: Manifest) -> None:
    for kind, ports, wanted in (
        ("input", model.inputs, manifest.input),
        ("output", model.outputs, manifest.output),
    ):
        expected = (wanted.name, list(wanted.shape), wanted.dtype)
        received = [_port(port) for port in ports]
        if len(ports) != 1 or wanted.name not in ports[0].get_names() or received[0][1:] != expected[1:]:
            raise ModelError(
                f"{manifest.name}/{manifest.version}: graph.xml: {kind}: expected {expected}, received {received}"
            )


def _port(port: Any) -> tuple[str, list[int | str], str]:
    shape = [side.get_length() if side.is_static else "?" for side in port.get_partial_shape()]
    return "/".join(sorted(port.get_names())), shape, str(port.get_element_type().get_type_name())


def _check_values(values: Probabilities) -> None:
    if not np.isfinite(values).all() or values.min() < -0.01 or values.max() > 1.01:
        raise ModelError(f"graph.xml: output: expected 0 to 1, received {values.min()} to {values.max()}")


def _check_picture(picture: Pixels, shape: tuple[int, ...], closed: bool) -> None:
    if closed:
        raise EngineError("the engine was closed")
    if picture.shape != shape or picture.dtype != np.uint8:
        raise EngineError(f"picture: expected {shape} uint8, received {picture.shape} {picture.dtype}")


class FakeEngine:
    """Brightness as probability, averaged over the output's cells: for tests, and trials without a graph."""

    precision = "f32"

    def __init__(self, manifest: Manifest, delay_s: float = 0.0) -> None:
        self._shape, self._cells = manifest.input.shape, manifest.output.shape[1:3]
        self._delay_s = delay_s
        self._waiters: set[_Waiter] = set()
        self._closed = False

    async def infer(self, picture: Pixels) -> Probabilities:
        _check_picture(picture, self._shape, self._closed)
        loop = asyncio.get_running_loop()
        waiter: _Waiter = loop.create_future()
        self._waiters.add(waiter)
        timer = loop.call_later(self._delay_s, _settle, waiter, self._brightness(picture))
        try:
            return await waiter
        finally:
            timer.cancel()
            self._waiters.discard(waiter)

    def close(self) -> None:
        self._closed = True
        for waiter in self._waiters:
            _settle(waiter, EngineError("the engine was closed"))

    def _brightness(self, picture: Pixels) -> Probabilities:
        (height, width), (_, rows, columns, _) = self._cells, self._shape
        cells: Pixels = picture[0, : rows // height * height, : columns // width * width].reshape(
            height, rows // height, width, columns // width * 3
        )
        brightness: Probabilities = cells.mean((1, 3), dtype=np.float32)
        return brightness / np.float32(255)
