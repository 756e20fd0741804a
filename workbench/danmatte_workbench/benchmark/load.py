"""A compiled graph under load, and the child process' side of a sweep, which times settings."""

import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import openvino as ov

from danmatte.contract.configuration import Configuration
from danmatte.contract.measurement import Host
from danmatte_workbench.benchmark.windows import Patience, Timing, Window, gather_windows
from danmatte_workbench.configuration import Setting
from danmatte_workbench.errors import InputError, MachineError
from danmatte_workbench.graph.batching import set_batch
from danmatte_workbench.runtimes import openvino
from danmatte_workbench.runtimes.core import open_core
from danmatte_workbench.runtimes.devices import to_properties
from danmatte_workbench.runtimes.isa_levels import FAMILIES, Kernels

HEAVY = frozenset({"Convolution", "GroupConvolution", "Deconvolution", "FullyConnected", "MatMul"})
_FAMILY = re.compile("|".join(reversed(FAMILIES)))
PROBED = 4  # pictures whose outputs are compared, alone and in a batch
TOLERATED = 0.01  # of the outputs' range: kernels depend on the batch, but mixed-up pictures differ by more
_FLIGHTS = 3  # runs of all infer requests by which a warm graph is timed


class InferenceLoad:
    """A compiled IR in one configuration, with the pictures to run, (1, …) each in its input's shape.

    mended: whether `graph.batching.set_batch` had to rewrite the graph for the batch. Raises InputError for a graph or
    pictures of an unsuitable shape, MachineError if the device can't compile the graph.
    """

    def __init__(
        self,
        path: Path,
        configuration: Configuration,
        pictures: Sequence[np.ndarray],
        *,
        pinning: bool | None = None,
    ) -> None:
        model = openvino.read(path)
        if len(model.inputs) != 1 or model.input(0).get_partial_shape().is_dynamic:
            shapes = ", ".join(str(port.get_partial_shape()) for port in model.inputs)
            raise InputError(f"{path}: expected one input of a fixed shape, found {shapes}")
        wanted = tuple(model.input(0).shape)
        odd = [picture.shape for picture in pictures if picture.shape != wanted]
        if odd or not pictures:
            raise InputError(f"{path}: expected pictures of {wanted}, received {odd[0] if odd else 'none'}")
        self._batch = configuration.batch
        self._inputs = _stack(model, pictures, self._batch)
        model, self.mended = set_batch(model, self._batch)
        try:
            chosen = to_properties(configuration, pinning=pinning)
            self._compiled = open_core().compile_model(model, configuration.device, chosen)
        except RuntimeError as error:
            reason = (str(error).strip().splitlines() or ["OpenVINO gives no reason"])[-1]
            raise MachineError(f"{configuration.device} can't run {path.name}: {reason}") from error
        self._queue = ov.AsyncInferQueue(self._compiled, configuration.infer_requests)
        self.requests = len(self._queue)
        self._latencies: list[float] = []
        self._queue.set_callback(lambda _, started: self._latencies.append(1000 * (time.perf_counter() - started)))

    def run(self, inferences: int) -> Window:
        """Run so many inferences, with all infer requests in flight at the same time."""
        self._latencies = []
        begun = time.perf_counter()
        for number in range(inferences):
            self._queue.get_idle_request_id()  # blocks until one is idle, so that waiting isn't counted as latency
            value = self._inputs[number % len(self._inputs)]
            self._queue.start_async({0: value}, time.perf_counter(), share_inputs=True)
        self._queue.wait_all()
        seconds = time.perf_counter() - begun
        return Window(inferences * self._batch / seconds, tuple(self._latencies))

    def warm_up(self, window_s: float) -> Callable[[], Window]:
        """Warm up, and return a function that runs a window of about ``window_s`` seconds.

        In a window, all infer requests run equally often.
        """
        flight = self.requests
        self.run(flight)
        # The fastest of a few runs, because one that was slowed by other processes would make all windows too short.
        flight_s = flight * self._batch / max(self.run(flight).frames_per_s for _ in range(_FLIGHTS))
        inferences = flight * max(1, round(window_s / flight_s))
        return lambda: self.run(inferences)

    def infer_all(self) -> list[np.ndarray]:
        """Return the first output of one inference after another for all pictures, (batch, …) each."""
        request = self._compiled.create_infer_request()
        return [np.array(request.infer({0: value}, share_inputs=True)[0]) for value in self._inputs]

    def list_kernels(self) -> Kernels:
        """Return the kernels of the layers, as the plugin reports them for the compiled graph."""
        heavy: Counter[str] = Counter()
        light: Counter[str] = Counter()
        for kind, kernel in self._list_layers():
            if family := _FAMILY.search(kernel):
                (heavy if kind in HEAVY else light)[family[0]] += 1
        return Kernels(
            dict(heavy), dict(light), dict(Counter(name for kind, name in self._list_layers() if kind in HEAVY))
        )

    def _list_layers(self) -> list[tuple[str, str]]:
        infos = [node.get_rt_info() for node in self._compiled.get_runtime_model().get_ops()]
        return [
            (str(info["layerType"].astype(str)), str(info["primitiveType"].astype(str)))
            for info in infos
            if "layerType" in info and "primitiveType" in info
        ]


def _stack(model: ov.Model, pictures: Sequence[np.ndarray], batch: int) -> list[np.ndarray]:
    """Return the pictures in the input's type, in batches; the last batch is filled up with the first pictures."""
    dtype = model.input(0).get_element_type().to_dtype()
    count = -(-len(pictures) // batch)
    chosen = [pictures[number % len(pictures)].astype(dtype, copy=False) for number in range(count * batch)]
    return [np.ascontiguousarray(np.concatenate(chosen[n * batch : (n + 1) * batch])) for n in range(count)]


def are_same(single: Sequence[np.ndarray], stacked: Sequence[np.ndarray]) -> bool:
    """Whether the outputs of a batched graph equal those for single pictures, within `TOLERATED`."""
    ones = np.concatenate(list(single)).astype(np.float64)
    many = np.concatenate(list(stacked))[: len(ones)].astype(np.float64)
    if ones.shape[1:] != many.shape[1:]:
        return False
    spread = float(ones.max() - ones.min()) or 1.0
    return bool(np.abs(ones[: len(many)] - many).mean() <= TOLERATED * spread)


@dataclass(frozen=True)
class SweepJob:
    """The input of a sweep: graph, pictures, device and precision (``base``), and windows of about ``window_s``."""

    path: Path
    base: Configuration
    pictures: tuple[np.ndarray, ...]
    reference: Setting
    window_s: float
    host: Host
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class TimingTask:
    """A request to time a setting. After ``until`` (of `time.monotonic`) it runs the minimum of windows."""

    setting: Setting
    until: float


@dataclass(frozen=True)
class BatchProbe:
    """A request to check whether the graph supports a batch size. The worker raises InputError if it doesn't."""

    batch: int


class SweepWorker:
    """The child process' side: handles requests of one job. The reference stays loaded for all of them."""

    def __init__(self, job: SweepJob) -> None:
        self._job = job
        self._usual = self._load(job.reference).warm_up(job.window_s)

    def __call__(self, question: TimingTask | BatchProbe) -> Timing | None:
        job = self._job
        if isinstance(question, BatchProbe):
            single, pictures = replace(job.reference, requests=1), job.pictures[:PROBED]
            alone, many = (
                InferenceLoad(job.path, replace(single, batch=batch).configuration(job.base), pictures)
                for batch in (1, question.batch)
            )
            if not are_same(alone.infer_all(), many.infer_all()):
                raise InputError(f"in a batch of {question.batch} its outputs differ from those for single pictures")
            return None
        mended, run = False, self._usual
        if question.setting != job.reference:
            load = self._load(question.setting)
            mended, run = load.mended, load.warm_up(job.window_s)
        windows = gather_windows(run, self._usual, job.patience, until=question.until)
        return Timing(
            windows.measure_throughput(job.host),
            windows.measure_latency(job.host),
            windows.measure_ratio("ratio", job.host),
            windows.agreed,
            mended,
        )

    def _load(self, setting: Setting) -> InferenceLoad:
        job = self._job
        return InferenceLoad(job.path, setting.configuration(job.base), job.pictures, pinning=setting.pinning)
