"""Several worker processes on one port: starting, pinning to CPUs, watching, restarting and stopping them."""

import asyncio
import logging
import multiprocessing
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import msgspec

from danmatte.contract.cores import apportion_cores, count_cores, split_cpus
from danmatte.errors import ServiceError, SettingsError
from danmatte.http.listener import bind, build_url
from danmatte.http.shared_socket import wait_readable
from danmatte.settings import Settings
from danmatte.telemetry.log import log_to_errors, write_json_log
from danmatte.telemetry.metrics import SHARED_FOLDER, merge_dead_worker

log = logging.getLogger(__name__)
READY, CHANGED, ALIVE = "ready", "changed", "alive"  # a worker's messages; any other text is why it can't start
_spawn = multiprocessing.get_context("spawn")  # fork would copy locks that other threads hold at that moment
_FIRST_DELAY_S, _LONGEST_DELAY_S, _STEADY_S = 0.1, 30.0, 60.0
_MISSES = 2  # timeouts that make up `silence_s`; a single one may expire because the whole machine was paused
_KILLED_AFTER_S = 5.0  # after the time to drain


async def supervise(settings: Settings) -> None:
    """Run `workers` processes until SIGTERM or SIGINT; raises SettingsError if they can't start.

    The supervisor keeps the listening socket open, so that connections aren't refused while a worker restarts.
    """
    with bind(settings) as listener, _make_shared_folder():
        await _Supervisor(settings, listener, split_cpus(settings.workers)).run()


def divide_settings(settings: Settings, parts: list[frozenset[int]]) -> list[Settings]:
    """Return the settings of each worker, with `cores` as it is pinned.

    Only the first worker has the admin ports; it notifies the others of changes through the supervisor.
    """
    portion = [settings.cores] * len(parts) if settings.cores else apportion_cores(parts, count_cores())
    first, *others = [msgspec.structs.replace(settings, cores=cores) for cores in portion]
    return [first, *(msgspec.structs.replace(each, admin_port=0, admin_grpc_port=0) for each in others)]


@dataclass(frozen=True)
class WorkerLink:
    """What a worker receives at its start: the listening socket, and a pipe to its supervisor, which never writes."""

    listener: socket
    line: Connection

    def report_ready(self) -> None:
        """Report that the worker accepts requests."""
        self.line.send(READY)

    def report_change(self) -> None:
        """Report that models may have changed, so that the other workers reload them."""
        self.line.send(CHANGED)

    def report_alive(self) -> None:
        """Report that the worker isn't hung; does nothing if the pipe is full, because writing would block."""
        with suppress(OSError):
            if select.select([], [self.line], [], 0)[1]:
                self.line.send(ALIVE)

    def fileno(self) -> int:
        """Return the descriptor of the pipe, which becomes readable when the supervisor exits."""
        return self.line.fileno()


def work(settings: Settings, link: WorkerLink, cpus: frozenset[int]) -> None:
    """Run a worker process; if it can't start, send the reason to the supervisor."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server has loaded its models
    log_to_errors()
    if settings.log == "json":
        write_json_log(multiprocessing.current_process().name)
    if cpus:
        os.sched_setaffinity(0, cpus)
    from danmatte.server import exit_in_time, serve

    try:
        asyncio.run(serve(settings, link))
    except ServiceError as error:
        link.line.send(str(error))
    supervisor = multiprocessing.parent_process()
    if supervisor and not supervisor.is_alive():  # a killed supervisor can't remove its folder
        shutil.rmtree(os.environ[SHARED_FOLDER], ignore_errors=True)
    exit_in_time()


class _Supervisor:
    """Starts and stops all workers. If one can't start initially, all are stopped."""

    def __init__(self, settings: Settings, listener: socket, parts: list[frozenset[int]]) -> None:
        self._settings, self._listener = settings, listener
        each = zip(divide_settings(settings, parts), parts, strict=True)
        self._slots = [_WorkerSlot(number, own, self, cpus) for number, (own, cpus) in enumerate(each)]
        self._announced = False
        self._failure = ""
        self.listener = listener
        self.stop = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.send, signal.SIGHUP)
        keeping = [asyncio.create_task(slot.keep()) for slot in self._slots]
        await self.stop.wait()
        self.send(signal.SIGTERM)
        await asyncio.wait(keeping, timeout=self._settings.grace_s + self._settings.drain_s + _KILLED_AFTER_S)
        self.send(signal.SIGKILL)
        await asyncio.gather(*keeping)
        if self._failure:
            raise SettingsError(self._failure)

    def announce(self) -> None:
        """Print the address once every worker accepts requests."""
        if not self._announced and all(slot.ready for slot in self._slots):
            self._announced = True
            print(f"danmatte: ready on {build_url(self._listener, self._settings)}", flush=True)

    def note_failure(self, why: str) -> None:
        """Note that a worker couldn't start. Stops all workers, unless others are already serving."""
        if self.stop.is_set():
            return
        if self._announced and any(slot.ready for slot in self._slots):
            log.error("a worker can't start: %s", why)
        else:
            self._failure = why
            self.stop.set()

    def send(self, what: signal.Signals, but: "_WorkerSlot | None" = None) -> None:
        """Send a signal to every worker except `but`."""
        for slot in self._slots:
            if slot is not but:
                slot.send(what)


class _WorkerSlot:
    """One worker process, restarted when it dies."""

    def __init__(self, number: int, settings: Settings, supervisor: _Supervisor, cpus: frozenset[int]) -> None:
        self._number, self._settings, self._supervisor, self._cpus = number, settings, supervisor, cpus
        self._process: multiprocessing.process.BaseProcess | None = None
        self.ready = False

    async def keep(self) -> None:
        """Run the worker and restart it until the supervisor stops, with exponential backoff.

        The backoff is reset after a worker that ran for more than `_STEADY_S` seconds.
        """
        stop, delay_s = self._supervisor.stop, _FIRST_DELAY_S
        while not stop.is_set():
            began = time.monotonic()
            try:
                status = await self._run_worker()
            except OSError as error:  # too many processes or open files at the moment
                status = str(error)
            if stop.is_set():
                return
            if time.monotonic() - began > _STEADY_S:
                delay_s = _FIRST_DELAY_S
            log.warning("worker %d ended (%s), the next one starts in %g s", self._number, status, delay_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), delay_s)
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    def send(self, what: signal.Signals) -> None:
        """Send a signal to the worker if it runs. A worker that isn't ready yet needs no SIGHUP."""
        if self._process and self._process.is_alive() and (self.ready or what is not signal.SIGHUP):
            with suppress(ProcessLookupError):
                os.kill(self._process.pid or 0, what)

    async def _run_worker(self) -> str:
        """Run one worker process until it ends, and return how it ended."""
        line, theirs = _spawn.Pipe()
        given = (self._settings, WorkerLink(self._supervisor.listener, theirs), self._cpus)
        process = _spawn.Process(target=work, args=given, name=f"worker-{self._number}")
        with line:
            with theirs:
                process.start()
            self._process = process
            explained = await self._listen(line)
        was_ready, self.ready = self.ready, False
        await asyncio.to_thread(process.join)
        code = process.exitcode
        status = f"signal {-code}" if code and code < 0 else f"exit code {code}"
        if not was_ready and not explained:
            self._supervisor.note_failure(f"worker {self._number} ended while starting: {status}")
        await asyncio.to_thread(merge_dead_worker, process.pid or 0)
        return status

    async def _listen(self, line: Connection) -> bool:
        """Read the worker's messages until it ends, and kill it if it falls silent.

        Returns whether it sent a reason for ending.
        """
        misses = 0
        while True:
            limited = self.ready and self._settings.silence_s  # loading models has no time limit
            try:
                async with asyncio.timeout(self._settings.silence_s / _MISSES if limited else None):
                    await wait_readable(line.fileno())
                message, misses = line.recv(), 0
            except TimeoutError:
                misses += not line.poll() and not self._supervisor.stop.is_set()
                if misses == _MISSES:
                    log.error("worker %d has been silent for %g s: killed", self._number, self._settings.silence_s)
                    self.send(signal.SIGKILL)
                    return False
                continue
            except (EOFError, OSError):
                return False
            if message == ALIVE:
                continue
            if message == CHANGED:
                self._supervisor.send(signal.SIGHUP, but=self)
            elif message == READY:
                self.ready = True
                self._supervisor.announce()
            else:
                self._supervisor.note_failure(message)
                return True


@contextmanager
def _make_shared_folder() -> Iterator[None]:
    """Create the folder in which workers share their counters, in memory if possible, and remove it at the end."""
    memory = Path("/dev/shm")
    where = memory if os.access(memory, os.W_OK) else None
    with TemporaryDirectory(prefix="danmatte-", dir=where) as folder:
        os.environ[SHARED_FOLDER] = folder
        yield
