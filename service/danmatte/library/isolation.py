"""Process isolation: units are made in a separate process, because decoding untrusted videos may crash or hang."""

import errno
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from danmatte.errors import LostWorkerError, ModelError, ServiceError, StorageError
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult
from danmatte.tracks.tally import Tally

if TYPE_CHECKING:
    from danmatte.library.maker import TrackMaker
    from danmatte.quality.judge import Judge

_START_S = 120.0  # for opening a model on a busy machine
_BEAT_S = 1.0  # how often a process reports that it makes progress
# Errors that aren't caused by the video: no space, no permission, no file descriptor, or a lost mount.
_STORAGE_ERRORS = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
        *(errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH),
    )
)


@dataclass(frozen=True)
class _Failure:
    """The reason why there is no result; `is_storage` if the storage of videos or tracks caused it."""

    reason: str
    is_storage: bool


# A result; a unit's failure; why the process can't work at all; or the number of masks so far.
_Message: TypeAlias = UnitResult | _Failure | str | int


@dataclass(frozen=True)
class Setup:
    """The configuration of a process: the library, the model's version, and the CPUs that it is pinned to.

    If `cpus` is empty, the process isn't pinned and uses `cores` of its CPUs, 0 for all.
    """

    library: Library
    version: int
    cpus: frozenset[int] = frozenset()
    cores: int = 0


class IsolatedMaker:
    """A maker that runs in a separate process, one unit after another; if the process is lost, a new one is started."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._context = multiprocessing.get_context("spawn")  # a fork would share the threads' locks
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # deleted here, because a killed process can't
        self._closed = False
        self._starting = threading.Lock()  # otherwise a process that is being started could outlive close()

    def make(self, unit: Unit) -> UnitResult:
        """Make a unit.

        Raises LostWorkerError if its process crashed, hung or failed at the video, StorageError if the storage failed,
        and ModelError if the model can't be opened.
        """
        connection = self._connection or self._start()
        library = self._setup.library
        until = time.monotonic() + library.item_timeout_s
        self._send(connection, unit)
        while True:
            left_s = until - time.monotonic()
            if not connection.poll(max(0.0, min(left_s, library.stall_timeout_s))):
                self._end()
                stalled = library.stall_timeout_s < left_s
                limit = (
                    f"no frame for {library.stall_timeout_s:g}" if stalled else f"more than {library.item_timeout_s:g}"
                )
                raise LostWorkerError(f"{limit} s")
            message = self._receive(connection)
            if isinstance(message, UnitResult):
                return message
            if isinstance(message, _Failure):
                raise (StorageError if message.is_storage else LostWorkerError)(message.reason)

    def close(self) -> None:
        """Kill the process; an unfinished unit is lost. May be called from another thread."""
        with self._starting:
            self._closed = True
        self._end()

    def _start(self) -> Connection:
        with self._starting:
            if self._closed:
                raise LostWorkerError("expected a process to start, but its worker was stopped")
            with ExitStack() as undone:
                try:
                    connection, other = self._context.Pipe()
                    undone.callback(connection.close)
                    folder = tempfile.TemporaryDirectory(prefix="danmatte-", ignore_cleanup_errors=True)
                    undone.callback(folder.cleanup)
                    process = self._context.Process(target=_work, args=(other, self._setup, folder.name), daemon=True)
                    with other:
                        process.start()
                except OSError as error:
                    wanted = "expected resources for a process, and a temporary folder to write to (TMPDIR)"
                    raise StorageError(f"{wanted}: {error}") from error
                undone.pop_all()
            self._process, self._connection, self._folder = process, connection, folder
        if not connection.poll(_START_S):
            self._end()
            raise LostWorkerError(f"its process wasn't ready within {_START_S:g} s")
        answer = self._receive(connection)
        if isinstance(answer, str):
            raise ModelError(answer)
        return connection

    def _send(self, connection: Connection, unit: Unit) -> None:
        try:
            connection.send(unit)
        except OSError as error:  # it died while it was idle
            raise LostWorkerError(self._end(dying_s=2.0)) from error

    def _receive(self, connection: Connection) -> _Message:
        try:
            message: _Message = connection.recv()
        except (EOFError, OSError) as error:
            raise LostWorkerError(self._end(dying_s=2.0)) from error
        return message

    def _end(self, dying_s: float = 0.0) -> str:
        """Kill the process after waiting `dying_s` seconds for it to end by itself; return how it ended, as text."""
        process, self._process, self._connection = self._process, None, None
        folder, self._folder = self._folder, None
        if process is None:
            return "its process was stopped"
        process.join(dying_s)
        process.kill()
        process.join()
        if folder:
            folder.cleanup()
        code = process.exitcode or 0
        return f"its process ended by {signal.Signals(-code).name}" if code < 0 else f"its process ended with {code}"


def _work(connection: Connection, setup: Setup, folder: str) -> None:
    """Run in the separate process: open the model, then reply to each unit with its result or failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all processes; the parent decides
    tempfile.tempdir = folder
    threading.Thread(target=_leave_with_parent, args=(folder,), daemon=True).start()
    if setup.cpus and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, setup.cpus)
    from danmatte.library.maker import TrackMaker
    from danmatte.models.standalone import open_version

    library = setup.library
    try:
        version = library.model, setup.version
        served = open_version(library.models, *version, for_many=True, cores=setup.cores)
        maker = TrackMaker(library, served, _open_judge(setup))
    except ServiceError as error:
        connection.send(str(error))
        return
    connection.send(0)
    with suppress(EOFError, ConnectionError):  # the parent has closed the connection
        while True:
            connection.send(_make(maker, connection.recv(), _Beat(connection)))


def _open_judge(setup: Setup) -> "Judge | None":
    from danmatte.models.standalone import open_version
    from danmatte.quality.judge import MODEL, Judge

    library, cores = setup.library, setup.cores
    if library.judging is None:
        return None
    return Judge(open_version(library.models, MODEL, library.judging.version, for_many=True, cores=cores))


def _make(maker: "TrackMaker", unit: Unit, beat: "_Beat") -> UnitResult | _Failure:
    started = time.monotonic()
    try:
        return maker.make(unit, beat.step).time(time.monotonic() - started)
    except (ServiceError, OSError) as error:
        return _Failure(str(error), is_storage=is_storage_failure(error))


def is_storage_failure(error: BaseException) -> bool:
    """Return whether an error was caused by the storage of videos or tracks and not by the video."""
    found: BaseException | None = error
    while found:
        if isinstance(found, StorageError) or (isinstance(found, OSError) and found.errno in _STORAGE_ERRORS):
            return True
        found = found.__cause__
    return False


class _Beat:
    """A heartbeat, which reports progress to the parent; thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._sent_s = connection, time.monotonic()
        self._lock = threading.Lock()

    def step(self, tally: Tally) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._sent_s >= _BEAT_S:
                self._sent_s = now
                self._connection.send(tally.masks)


def _leave_with_parent(folder: str) -> NoReturn:
    """Wait until the parent ends, then delete the folder and exit, because a killed parent can't stop this process."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
