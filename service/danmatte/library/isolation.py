"""A process of its own for what may crash or hang: decoders of strangers' videos."""

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

_START_S = 120.0  # for opening a model, on a machine that is busy with others
_BEAT_S = 1.0  # how often a process tells that frames come
# What is no fault of a video's, whichever file it was: no room, no right, no descriptor, or a mount that has gone.
_PLACES = frozenset(
    (
        *(errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE),
        *(errno.ENOTCONN, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH),
    )
)


@dataclass(frozen=True)
class _Failure:
    """Why there is no result; `is_places` where that is the fault of a place of videos or tracks."""

    reason: str
    is_places: bool


_Message: TypeAlias = UnitResult | _Failure | str | int  # a result, why there is none, why none ever, masks so far


@dataclass(frozen=True)
class Setup:
    """What a process works with: the version that was chosen for all, and the CPUs that it is to stay on.

    No CPUs leave them as they are; `cores` is then how many of them it uses, 0 for all.
    """

    library: Library
    version: int
    cpus: frozenset[int] = frozenset()
    cores: int = 0


class IsolatedMaker:
    """A process that makes units one after another; a new one is started where it was lost."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._context = multiprocessing.get_context("spawn")  # a fork would share the threads' locks
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None  # a process that is killed leaves it full
        self._closed = False
        self._starting = threading.Lock()  # else a process that is just being started would outlive close()

    def make(self, unit: Unit) -> UnitResult:
        """Makes a unit.

        Raises LostWorkerError where its process crashed, hung, or has a reason to make none, StorageError where that
        is no fault of the video's, and ModelError where it can't open the model.
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
                raise (StorageError if message.is_places else LostWorkerError)(message.reason)

    def close(self) -> None:
        """Ends the process, whatever it does; a unit under way is lost. May be called from another thread."""
        with self._starting:
            self._closed = True
        self._end()

    def _start(self) -> Connection:
        with self._starting:
            if self._closed:
                raise LostWorkerError("no more processes are started")
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
                    wanted = "expected room for a process, and a folder for unfinished tracks, which TMPDIR may name"
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
        except OSError as error:  # it died while it had nothing to do
            raise LostWorkerError(self._end(dying_s=2.0)) from error

    def _receive(self, connection: Connection) -> _Message:
        try:
            message: _Message = connection.recv()
        except (EOFError, OSError) as error:
            raise LostWorkerError(self._end(dying_s=2.0)) from error
        return message

    def _end(self, dying_s: float = 0.0) -> str:
        """Ends the process, which may be dying by itself; returns how it ended, in words."""
        process, self._process, self._connection = self._process, None, None
        folder, self._folder = self._folder, None
        if process is None:
            return "its process was ended"
        process.join(dying_s)
        process.kill()
        process.join()
        if folder:
            folder.cleanup()
        code = process.exitcode or 0
        return f"its process ended by {signal.Signals(-code).name}" if code < 0 else f"its process ended with {code}"


def _work(connection: Connection, setup: Setup, folder: str) -> None:
    """The process: opens the model, and answers each unit with a result, or with why there is none."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
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
    with suppress(EOFError, ConnectionError):  # nobody wants anything any more
        while True:
            connection.send(_answer(maker, connection.recv(), _Beat(connection)))


def _open_judge(setup: Setup) -> "Judge | None":
    from danmatte.models.standalone import open_version
    from danmatte.quality.judge import MODEL, Judge

    library, cores = setup.library, setup.cores
    if library.judging is None:
        return None
    return Judge(open_version(library.models, MODEL, library.judging.version, for_many=True, cores=cores))


def _answer(maker: "TrackMaker", unit: Unit, beat: "_Beat") -> UnitResult | _Failure:
    started = time.monotonic()
    try:
        return maker.make(unit, beat.step).time(time.monotonic() - started)
    except (ServiceError, OSError) as error:
        return _Failure(str(error), is_places=blames_place(error))


def blames_place(error: BaseException) -> bool:
    """Whether an error is the fault of a place of videos or tracks, and not of the video that was being made."""
    found: BaseException | None = error
    while found:
        if isinstance(found, StorageError) or (isinstance(found, OSError) and found.errno in _PLACES):
            return True
        found = found.__cause__
    return False


class _Beat:
    """Tells the parent that frames come, from any thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._told = connection, time.monotonic()
        self._alone = threading.Lock()

    def step(self, tally: Tally) -> None:
        with self._alone:
            now = time.monotonic()
            if now - self._told >= _BEAT_S:
                self._told = now
                self._connection.send(tally.masks)


def _leave_with_parent(folder: str) -> NoReturn:
    """A parent that is killed closes nothing: its processes leave by themselves, and take their folders along."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)
