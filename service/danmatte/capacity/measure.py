"""Measurement of one worker of the service in closed loops and an open loop, with one core and with all cores."""

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version as find_version
from pathlib import Path

import numpy as np

from danmatte.capacity.arrivals import Streams
from danmatte.capacity.capacity import Capacity, FrameKind, MeasuredLoop
from danmatte.capacity.frames import make_bodies
from danmatte.capacity.load import PostResult, Target, run_closed, run_open
from danmatte.capacity.simulation import Slowness
from danmatte.contract.cores import count_cores, list_cpus
from danmatte.contract.host import describe_host
from danmatte.errors import InvalidParameterError, SettingsError
from danmatte.frame import Size
from danmatte.settings import Settings, to_flag

KINDS = ("jpeg:1280x720", "jpeg:1920x1080", "jpeg:640x360", "png:640x360", "webp:640x360", "nv12:640x360")
PLAYERS_MASK = Size(180, 320)
_BUSY = 4  # connections per core, as many as permits, so that no request is rejected and no core idles
_OPEN_SHARE = 0.6  # of the busy loop's rate: as with streams, cores are sometimes idle, and posts sometimes queue up
_WARM_UP_SHARE = 0.2  # of a loop's duration, before the loop
_QUANTILES = 400
_MIN_FRAMES = 50  # of an open loop or of a single connection, however short it is
_REST_S = 0.04  # between the frames of a single connection, as between a stream's: caches and CPU clock cool down
_ENDS_WITHIN_S = 30.0
# Settings that must not affect a measurement, or that would prevent it.
_OVERRIDDEN: dict[str, object] = {
    "host": "127.0.0.1",
    "port": 0,
    "grpc_port": 0,
    "admin_port": 0,
    "admin_grpc_port": 0,
    "workers": 1,
    "cores": 0,
    "keys": "",
    "tls_certificate": "",
    "tls_key": "",
    "access_log": "off",
    "otlp_endpoint": "",
}


@dataclass(frozen=True)
class MeasureOptions:
    """The options of a measurement: kinds of frames, the first also measured with busy cores; `seconds` per loop."""

    settings: Settings
    kinds: tuple[FrameKind, ...]
    pictures: Path | None = None
    mask: Size = PLAYERS_MASK
    seconds: float = 10.0


@dataclass(frozen=True)
class WorkerProcess:
    """A server in a separate process."""

    url: str
    pid: int

    @property
    def resident_bytes(self) -> int:
        """The process's memory; 0 if the system doesn't report it."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            return 0


@dataclass(frozen=True)
class LoopRun:
    """A loop with the result of every post."""

    cores: int
    connections: int
    kind: FrameKind
    took_s: float
    replies: list[PostResult]

    @property
    def masks(self) -> list[PostResult]:
        """The results that are a mask."""
        return [reply for reply in self.replies if reply.status == 200]

    def summarize(self, slowness: Slowness = lambda _: 1.0) -> MeasuredLoop:
        """Return the loop's figures, corrected for times at which the cores were slow.

        `slowness` returns how many times longer everything took at a `time.perf_counter()`. Raises
        InvalidParameterError if fewer than half of the posts returned masks.
        """
        good = self.masks
        if len(good) < max(2, len(self.replies) // 2):
            statuses = sorted({reply.status for reply in self.replies})
            raise InvalidParameterError(f"{self.kind}: expected masks, received status {statuses}")
        slow = np.array([slowness(reply.due_s + reply.latency_s) for reply in good])
        taken_s = np.array([reply.thread_s for reply in good])
        besides_s = np.array([reply.latency_s - reply.queue_s - reply.thread_s for reply in good])
        ranks = (np.arange(min(_QUANTILES, len(good))) + 0.5) / min(_QUANTILES, len(good))
        saved_s = float((taken_s - taken_s / slow).mean())
        return MeasuredLoop(
            cores=self.cores,
            connections=self.connections,
            frame=self.kind,
            seconds=self.took_s,
            answered=len(good),
            per_s=1 / (self.took_s / len(good) - saved_s / self.cores),
            p50_ms=1e3 * statistics.median(reply.latency_s for reply in good),
            p99_ms=1e3 * float(np.percentile([reply.latency_s for reply in good], 99)),
            thread_ms=tuple(np.quantile(1e3 * taken_s / slow, ranks).round(4).tolist()),
            overhead_ms=max(0.0, 1e3 * float((besides_s / slow).mean())),
        )


def measure(
    wanted: MeasureOptions, report: Callable[[str], None], keep: Callable[[LoopRun], object] = lambda _: None
) -> Capacity:
    """Run two loops of `seconds` with one core and two with all cores, and a short one for each kind of frame.

    `report` is called with a line before each step, `keep` with every loop. Raises InvalidParameterError, and
    SettingsError if the server doesn't start.
    """
    loops: list[MeasuredLoop] = []
    resident_bytes, version = 0, 0
    for cores in sorted({1, count_cores()}):
        report(f"{cores} of {count_cores()} cores: the server starts")
        with start_server(wanted.settings, cores) as server:
            for run in _measure_cores(server, wanted, cores, report):
                keep(run)
                loop, version = run.summarize(), run.masks[-1].version
                report(f"  {loop.per_s:.1f} a second, p50 {loop.p50_ms:.1f} ms, p99 {loop.p99_ms:.1f} ms")
                loops.append(loop)
            resident_bytes = max(resident_bytes, server.resident_bytes)
    return Capacity(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        danmatte=find_version("danmatte"),
        host=describe_host(),
        model=wanted.settings.model,
        version=version,
        mask=str(wanted.mask),
        settings=wanted.settings,
        resident_bytes=resident_bytes,
        loops=tuple(loops),
    )


def _measure_cores(
    server: WorkerProcess, wanted: MeasureOptions, cores: int, report: Callable[[str], None]
) -> Iterator[LoopRun]:
    """Yield the loops of one server."""
    of = f"{cores} of {count_cores()} cores"
    kind, seconds = wanted.kinds[0], wanted.seconds
    target = make_target(server.url, kind, wanted.mask, make_bodies(kind, wanted.pictures))
    report(f"{of}: {kind}, {_BUSY * cores} at once, {seconds:.0f} s")
    busy = _run_closed(target, kind, cores, _BUSY * cores, seconds)
    yield busy
    per_s = _OPEN_SHARE * busy.summarize().per_s
    report(f"{of}: {kind}, {per_s:.0f} a second at random moments, {seconds:.0f} s")
    moments_s = (
        Streams(1, per_s, "poisson").draw(max(seconds, _MIN_FRAMES / per_s), np.random.default_rng(cores)).moments_s
    )
    began = time.perf_counter()
    replies = asyncio.run(run_open(target, moments_s))
    yield LoopRun(cores, 0, kind, time.perf_counter() - began, replies)
    for kind in wanted.kinds if cores == 1 else ():
        target = make_target(server.url, kind, wanted.mask, make_bodies(kind, wanted.pictures))
        report(f"{of}: {kind}, 1 at once, {seconds / 3:.0f} s")
        yield _run_closed(target, kind, cores, 1, seconds / 3)


def make_target(url: str, kind: FrameKind, mask: Size, bodies: list[bytes]) -> Target:
    """Return a target that requests masks of this size, or for raw frames, masks of the frame's size."""
    raw = kind.format in ("nv12", "rgb24")
    size = Size(kind.height // 2 * 2, kind.width // 2 * 2) if raw else mask
    media_type = f"application/x-{kind.format}" if raw else f"image/{kind.format}"
    where = f"{url.rstrip('/')}/v1/mattes?width={size.width}&height={size.height}"
    return Target(where, bodies, {"Content-Type": media_type})


@contextmanager
def start_server(settings: Settings, cores: int) -> Iterator[WorkerProcess]:
    """Run `danmatte serve` with these settings on the first of this process's CPUs; end it with SIGTERM."""
    flags = {name: getattr(settings, name) for name in Settings.__struct_fields__} | _OVERRIDDEN
    flags = {name: value for name, value in flags.items() if value is not False}
    words = [to_flag(name) + ("" if value is True else f"={value}") for name, value in flags.items()]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DANMATTE_")}
    pin = partial(os.sched_setaffinity, 0, list_cpus()[:cores]) if hasattr(os, "sched_setaffinity") else None
    command = [sys.executable, "-m", "danmatte", "serve", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, preexec_fn=pin) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if "ready on" not in line:
                raise SettingsError(f"the server to be measured ended with exit code {process.wait(_ENDS_WITHIN_S)}")
            yield WorkerProcess(line.split()[-1], process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _run_closed(target: Target, kind: FrameKind, cores: int, connections: int, seconds: float) -> LoopRun:
    """Warm up, then measure. A single connection rests between its frames."""
    rest_s = min(_REST_S, seconds / _MIN_FRAMES) if connections == 1 else 0.0
    asyncio.run(run_closed(target, connections, _WARM_UP_SHARE * seconds, rest_s))
    replies, took_s = asyncio.run(run_closed(target, connections, seconds, rest_s))
    return LoopRun(cores, connections, kind, took_s, replies)
