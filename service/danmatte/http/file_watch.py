"""Reloading of files that change while the server runs: API keys and certificates."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from aiohttp import web

from danmatte.background_tasks import BackgroundTasks

log = logging.getLogger(__name__)
# Modification time, size and inode of each file. The inode changes when Kubernetes or certbot replaces a link.
FileStamp: TypeAlias = tuple[tuple[int, int, int], ...]
Renew: TypeAlias = Callable[[], Awaitable[object]]


def read_stamp(files: Sequence[Path]) -> FileStamp:
    """Return a stamp that differs when any of the files has changed; a missing file counts as zeros."""
    stamp: list[tuple[int, int, int]] = []
    for file in files:
        try:
            facts = file.stat()
        except OSError:
            stamp.append((0, 0, 0))
        else:
            stamp.append((facts.st_mtime_ns, facts.st_size, facts.st_ino))
    return tuple(stamp)


@dataclass
class _Watched:
    """Files that are read together, with their stamps when last read (`known`) and last checked (`last`)."""

    files: tuple[Path, ...]
    renew: Renew
    known: FileStamp
    last: FileStamp


class FileWatch:
    """Reloads files that have changed, once they are the same in two consecutive checks.

    The second check is needed because a certificate and its key are two files, written one after the other.
    """

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        self._tasks = BackgroundTasks()

    def add(self, files: Sequence[Path], renew: Renew) -> None:
        """Watch files that were just read; `renew` reads them again."""
        stamp = read_stamp(files)
        self._watched.append(_Watched(tuple(files), renew, stamp, stamp))

    async def look(self) -> None:
        """Check all files once."""
        for each in self._watched:
            stamp = await asyncio.to_thread(read_stamp, each.files)
            if stamp == each.last and stamp != each.known:
                await self._renew(each, stamp)
            each.last = stamp

    def renew_soon(self) -> None:
        """Reload all files in the background, changed or not; for a signal handler."""

        async def renew_all() -> None:
            for each in self._watched:
                await self._renew(each, await asyncio.to_thread(read_stamp, each.files))

        self._tasks.start(renew_all())

    @asynccontextmanager
    async def run(self, every_s: float) -> AsyncIterator[None]:
        """Check all files every `every_s` seconds while the block runs; never if that is 0."""

        async def look_for_ever() -> None:
            while True:
                await asyncio.sleep(every_s)
                await self.look()

        if every_s:
            self._tasks.start(look_for_ever())
        try:
            yield
        finally:
            await self._tasks.end()

    def run_beside(self, every_s: float) -> Callable[[web.Application], AsyncIterator[None]]:
        """Return a context for `Application.cleanup_ctx` that does the same while the application runs."""

        async def run(app: web.Application) -> AsyncIterator[None]:
            async with self.run(every_s):
                yield

        return run

    async def _renew(self, each: _Watched, stamp: FileStamp) -> None:
        each.known = stamp
        try:
            await each.renew()
        except Exception:  # keep watching: the next change may be valid
            log.exception("%s: can't be reloaded", each.files[0])


FILES = web.AppKey("files", FileWatch)
