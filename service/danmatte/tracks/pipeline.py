"""A whole video's masks: decoding, inference and stabilising at once, a bounded number of frames under way."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from danmatte.engine import Served
from danmatte.frame import Pixels
from danmatte.tracks.masks import Masks, Tally
from danmatte.tracks.refinement import Closer, Glance
from danmatte.tracks.selection import Look, Plan, Seen, looks
from danmatte.tracks.writer import TrackWriter
from danmatte.video.reader import Video

WARM_UP_MS = 500  # looked at again before going on, so that the stabiliser has a past

_See: TypeAlias = Callable[[Pixels, Pixels | None], Coroutine[None, None, Seen]]
_Line: TypeAlias = "asyncio.Queue[tuple[Look, asyncio.Task[Seen] | None] | None]"


class Pipeline:
    """Makes tracks with one network.

    Decoding has a thread, with whatever pictures tell by themselves; stabilising and writing another, the network its
    own, and second looks are cut out in one more. Frames pass between them in order, at most `in_flight` at a time, so
    memory doesn't grow with the video.
    """

    def __init__(self, served: Served, *, in_flight: int) -> None:
        self._served, self._in_flight = served, in_flight

    async def run(self, video: Video, plan: Plan, writer: TrackWriter, tell: Callable[[Tally], None]) -> Tally:
        """Goes on where the writer's track ends; `tell` hears of every frame. Raises EngineError and TrackError."""
        from_ms = 0 if writer.last_pts_ms is None else max(0, writer.last_pts_ms - WARM_UP_MS)
        manifest = self._served.manifest
        closer = Closer(manifest, video.size, plan.working) if plan.closer else None
        coming = looks(video, manifest, plan, from_ms, closer)
        masks = Masks(manifest, video.size, plan, writer, closer)
        line: _Line = asyncio.Queue(self._in_flight)
        loop = asyncio.get_running_loop()
        with (
            ThreadPoolExecutor(1, "decode") as decoder,
            ThreadPoolExecutor(1, "closer") as cutter,
            ThreadPoolExecutor(1, "stabilise") as stabiliser,
        ):
            see = partial(self._seen, closer=closer, cutter=cutter)
            feeding = asyncio.create_task(self._feed(coming, line, decoder, see))
            try:
                while (item := await line.get()) is not None:
                    look, seeing = item
                    seen = await seeing if seeing else None
                    await loop.run_in_executor(stabiliser, masks.step, look, seen)
                    tell(masks.tally)
                await feeding
                await loop.run_in_executor(stabiliser, masks.finish)
            finally:
                feeding.cancel()
        return masks.tally

    async def _feed(self, coming: Iterator[Look], line: _Line, decoder: Executor, see: _See) -> None:
        """Puts looks into the line with their inferences started, and None at the end, also after an error."""
        loop = asyncio.get_running_loop()
        try:
            while look := await loop.run_in_executor(decoder, next, coming, None):
                seeing = None if look.picture is None else asyncio.create_task(see(look.picture, look.detail))
                await line.put((replace(look, detail=None), seeing))
        except Exception:
            await line.put(None)
            raise
        await line.put(None)

    async def _seen(self, picture: Pixels, detail: Pixels | None, *, closer: Closer | None, cutter: Executor) -> Seen:
        """One inference, and a second one where the first saw people."""
        infer, loop = self._served.batcher.infer, asyncio.get_running_loop()
        values = await infer(picture)
        if closer is None or detail is None or (place := closer.place(values)) is None:
            return Seen(values)
        nearer = await loop.run_in_executor(cutter, closer.picture, detail, place)
        return Seen(values, Glance(await infer(nearer), place))
