"""Metrics in Prometheus' format."""

import fcntl
import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from danmatte.telemetry.timing import PHASES, Timing

# The folder in which workers share their metrics; prometheus_client reads this variable when it is imported.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
# Without this, one process would export `_created` series that several workers don't have.
disable_created_metrics()  # type: ignore[no-untyped-call]
_TOGETHER = 32  # responses counted in one go, because counting them one by one causes more cache misses
_MAX_SOURCES = 64  # each is a series; otherwise frequently published versions would fill the scraper's memory
_BUCKETS_BYTES = (2.0**10, 2.0**12, 2.0**14, 2.0**16, 2.0**18, 2.0**20, 2.0**22, 2.0**24)
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Traffic(NamedTuple):
    """Bytes of a request's body and of its response."""

    received: int = 0
    sent: int = 0


NO_TRAFFIC = Traffic()


class _Uncounted(NamedTuple):
    """A response that is still to be counted; `outcome` is empty for a part of a larger request."""

    protocol: str
    outcome: str
    phases_ms: dict[str, float]
    total_s: float
    source: tuple[str, int, str]
    traffic: Traffic


class Metrics:
    """The metrics of one process. If workers share a folder, `render` returns the sums of all workers.

    Responses are counted in groups, at the latest when the metrics are read. With several workers, each is counted at
    once, because a worker that dies would lose uncounted ones.
    """

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._uncounted = deque[_Uncounted]()
        self._together = 1 if SHARED_FOLDER in os.environ else _TOGETHER
        with _lock_folder():  # because another worker's `render` fails on incomplete files
            self._begin()

    def _begin(self) -> None:
        """Create every metric, and one value of each type, because the first value creates the type's shared file."""
        self._watched: list[tuple[Gauge, Callable[[], float]]] = []
        who = ("model", "version", "region")
        self._sources: set[tuple[str, int, str]] = set()
        self._phases = self._histogram("danmatte_phase_seconds", "Time of a request in each phase", "phase", *who)
        self._total = self._histogram(
            "danmatte_request_seconds", "Time from a request's headers to its response", "protocol", *who
        )
        self._requests = self._counter("danmatte_requests", "Requests by outcome", "protocol", "outcome", *who)
        self._received = self._counter("danmatte_received_bytes", "Bytes of request bodies", "protocol")
        self._sent = self._counter("danmatte_sent_bytes", "Bytes of response bodies", "protocol")
        self._sizes = Histogram(
            "danmatte_request_bytes",
            "Size of request bodies",
            ("protocol",),
            registry=self._registry,
            buckets=_BUCKETS_BYTES,
        )
        self._rejected = self._counter("danmatte_rejected", "Errors returned to clients, by code", "code")
        self._loads = self._counter("danmatte_model_loads", "Attempts to open a model version, by outcome", "outcome")
        self._frames = self._counter("danmatte_live_frames", "Frames of live connections, by outcome", "outcome")
        self._unlogged = self._counter(
            "danmatte_access_log_dropped", "Lines of the access log dropped because its reader was slow"
        )
        self._versions = self._gauge("danmatte_model_versions", "Model versions by state", "state", mode="livemax")
        self._counter("danmatte_worker_starts", "Processes started on the port").inc()
        # A restarted container counts its starts from 1 again, which looks like no change; this value always changes.
        started = self._gauge("danmatte_start_time_seconds", "When the newest process was started", mode="livemax")
        started.set(time.time())
        self.watch("danmatte_workers", "Processes on the port", lambda: 1)
        self.watch("danmatte_process_resident_bytes", "Memory of all workers", _measure_resident_bytes)
        self.watch("danmatte_process_open_files", "File descriptors of all workers", _count_open_files)
        self.set_versions([])

    def watch(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Register a gauge whose value `sample` updates; the values of all workers are summed."""
        self._watched.append((self._gauge(name, description), value))

    def sample(self) -> None:
        """Update all registered gauges, and count the responses that aren't counted yet."""
        self._count()
        for gauge, value in self._watched:
            gauge.set(value())

    def count_answer(
        self, protocol: str, status: int, timing: Timing | None, total_s: float, traffic: Traffic = NO_TRAFFIC
    ) -> None:
        """Count a response and its phases by HTTP status: `answered`, `failed` for 500, and `refused` for other errors.

        Overload counts as `refused`, because the same request may succeed later.
        """
        outcome = "answered" if status < 400 else "failed" if status == 500 else "refused"
        timing = timing or Timing()
        self._put(_Uncounted(protocol, outcome, timing.phases_ms, total_s, _find_source(timing), traffic))

    def count_phases(self, timing: Timing) -> None:
        """Count the phases of a response that is a part of a larger request."""
        self._put(_Uncounted("", "", timing.phases_ms, 0.0, _find_source(timing), NO_TRAFFIC))

    def count_rejection(self, code: str) -> None:
        """Count an error by its code."""
        self._rejected.labels(code).inc()

    def count_left(self, protocol: str) -> None:
        """Count a client that disconnected before its response."""
        self._requests.labels(protocol, "left", "", "", "").inc()

    def count_load(self, outcome: str) -> None:
        """Count an attempt to open a model version: `ready` or `failed`."""
        self._loads.labels(outcome).inc()

    def set_versions(self, states: list[str]) -> None:
        """Set the number of versions in each state."""
        for state in ("ready", "available", "failed", *states):
            self._versions.labels(state).set(states.count(state))

    def count_frames(self, outcome: str, count: int = 1) -> None:
        """Count frames of live connections: `answered`, `refused` or `skipped`."""
        self._frames.labels(outcome).inc(count)

    def count_unlogged(self) -> None:
        """Count a dropped line of the access log."""
        self._unlogged.inc()

    def render(self) -> bytes:
        """Return all workers' metrics as text for Prometheus; reads files if there are several workers."""
        self.sample()
        if SHARED_FOLDER not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        with _hold_lock(Path(os.environ[SHARED_FOLDER]), fcntl.LOCK_SH):
            return generate_latest(registry)

    def _put(self, answer: _Uncounted) -> None:
        self._uncounted.append(answer)
        if len(self._uncounted) >= self._together:
            self._count()

    def _count(self) -> None:
        with suppress(IndexError):  # another thread may have taken the last one
            while self._uncounted:
                answer = self._uncounted.popleft()
                who = self._name_source(answer.source)
                if answer.outcome:
                    self._requests.labels(answer.protocol, answer.outcome, *who).inc()
                    self._total.labels(answer.protocol, *who).observe(answer.total_s)
                    self._received.labels(answer.protocol).inc(answer.traffic.received)
                    self._sent.labels(answer.protocol).inc(answer.traffic.sent)
                    self._sizes.labels(answer.protocol).observe(answer.traffic.received)
                for name in set(PHASES) & answer.phases_ms.keys():
                    self._phases.labels(name, *who).observe(answer.phases_ms[name] / 1e3)

    def _name_source(self, source: tuple[str, int, str]) -> tuple[str, str, str]:
        """Return the labels of model, version and region; `other` once the process has used `_MAX_SOURCES` of them."""
        if source not in self._sources and len(self._sources) >= _MAX_SOURCES:
            return ("other", "other", "other")
        self._sources.add(source)
        model, version, region = source
        return (model, str(version or ""), region)

    def _counter(self, name: str, description: str, *labels: str) -> Counter:
        return Counter(name, description, labels, registry=self._registry)

    def _histogram(self, name: str, description: str, *labels: str) -> Histogram:
        return Histogram(name, description, labels, registry=self._registry, buckets=_BUCKETS_S)

    def _gauge(self, name: str, description: str, *labels: str, mode: str = "livesum") -> Gauge:
        return Gauge(name, description, labels, registry=self._registry, multiprocess_mode=mode)  # type: ignore[arg-type]


def _find_source(timing: Timing) -> tuple[str, int, str]:
    return (timing.model, timing.version, timing.region)


def merge_dead_worker(pid: int) -> None:
    """Remove a dead worker's gauges, and add its counters to those of all workers that died before.

    This keeps the folder small however many workers die, and keeps counters from decreasing.
    """
    folder = Path(os.environ[SHARED_FOLDER])
    with _lock_folder():
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
        for kind in ("counter", "histogram"):
            _merge(folder / f"{kind}_{pid}.db", folder / f"{kind}_dead.db")


def _merge(one: Path, all_: Path) -> None:
    if not one.exists():
        return
    sums = MmapedDict(str(all_))  # type: ignore[no-untyped-call]
    for key, value, _, _ in MmapedDict.read_all_values_from_file(str(one)):  # type: ignore[no-untyped-call]
        sums.write_value(key, sums.read_value(key)[0] + value, 0.0)  # type: ignore[no-untyped-call]
    sums.close()  # type: ignore[no-untyped-call]
    one.unlink()


def _lock_folder() -> AbstractContextManager[None]:
    """Return an exclusive lock on the shared folder, if there is one."""
    return _hold_lock(Path(os.environ[SHARED_FOLDER]), fcntl.LOCK_EX) if SHARED_FOLDER in os.environ else nullcontext()


@contextmanager
def _hold_lock(folder: Path, how: int) -> Iterator[None]:
    """Hold a file lock, so that readers never see a partial change; the kernel releases it if the process dies."""
    with (folder / "lock").open("wb") as file:
        fcntl.flock(file, how)
        yield


def _measure_resident_bytes() -> float:
    """Return the resident memory of this process, 0 if the system doesn't provide it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _count_open_files() -> float:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - no need for a Path of each entry
    except OSError:
        return 0
