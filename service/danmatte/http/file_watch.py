"""A watch over files that are read at a start and change while a server runs for months: keys, certificates."""

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
# Of each file its time of writing, size and inode; Kubernetes and certbot replace links, which have another one then.
FileStamp: TypeAlias = tuple[tuple[int, int, int], ...]
Renew: TypeAlias = Callable[[], Awaitable[object]]


def read_stamp(files: Sequence[Path]) -> FileStamp:
    """What tells whether any of the files is another one."""
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
    """Files that are read together, as they were read last, and as they were at the last look."""

    files: tuple[Path, ...]
    renew: Renew
    known: FileStamp
    last: FileStamp


class FileWatch:
    """Has files read again once they changed, and then stayed as they were from one look to the next.

    A certificate and its key are two files, and are written one after the other.
    """

    def __init__(self) -> None:
        self._watched: list[_Watched] = []
        self._tasks = BackgroundTasks()

    def add(self, files: Sequence[Path], renew: Renew) -> None:
        """Files that were just read, and what reads them again."""
        stamp = read_stamp(files)
        self._watched.append(_Watched(tuple(files), renew, stamp, stamp))

    async def look(self) -> None:
        """Looks once."""
        for each in self._watched:
            stamp = await asyncio.to_thread(read_stamp, each.files)
            if stamp == each.last and stamp != each.known:
                await self._renew(each, stamp)
            each.last = stamp

    def renew_soon(self) -> None:
        """Has all files read again in the background, changed or not; for a signal's handler."""

        async def renew_all() -> None:
            for each in self._watched:
                await self._renew(each, await asyncio.to_thread(read_stamp, each.files))

        self._tasks.start(renew_all())

    @asynccontextmanager
    async def run(self, every_s: float) -> AsyncIterator[None]:
        """Looks again and again until the block ends; never when `every_s` is 0."""

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
        """The same while an application runs; for its `cleanup_ctx`."""

        async def run(app: web.Application) -> AsyncIterator[None]:
            async with self.run(every_s):
                yield

        return run

    async def _renew(self, each: _Watched, stamp: FileStamp) -> None:
        each.known = stamp
        try:
            await each.renew()
        except Exception:  # the next change is another chance
            log.exception("%s: could not be read again", each.files[0])


FILES = web.AppKey("files", FileWatch)
