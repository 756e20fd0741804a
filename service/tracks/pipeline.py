"""A whole video's masks: decoding, inference and stabilising at once, a bounded number of frames under way."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeAlias

from service.engine import Served
from service.frame import Pixels
from service.tracks.closer import Closer
from service.tracks.looking import Look, Plan, Seen, looks
from service.tracks.masks import Masks, Tally
from service.tracks.video import Video
from service.tracks.writer import TrackWriter

WARM_UP_MS = 500  # looked at again before going on, so that the stabiliser has a past

_Line: TypeAlias = "asyncio.Queue[tuple[Look, asyncio.Task[Seen] | None] | None]"


class Pipeline:
    """Makes tracks with one network.

    Decoding has a thread, stabilising and writing another, the network its own. Frames pass between them in
    order, at most `in_flight` at a time, so memory doesn't grow with the video.
    """

    def __init__(self, served: Served, *, in_flight: int) -> None:
        self._served, self._in_flight = served, in_flight

    async def run(self, video: Video, plan: Plan, writer: TrackWriter, tell: Callable[[Tally], None]) -> Tally:
        """Goes on where the writer's track ends; `tell` hears of every frame. Raises EngineError and TrackError."""
        from_ms = 0 if writer.last_pts_ms is None else max(0, writer.last_pts_ms - WARM_UP_MS)
        coming = looks(video, self._served.manifest, plan, from_ms)
        masks = Masks(self._served.manifest, video.size, plan, writer)
        line: _Line = asyncio.Queue(self._in_flight)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "decode") as decoder, ThreadPoolExecutor(1, "stabilise") as stabiliser:
            closer = Closer(self._served.manifest, video.size, plan.working)
            feeding = asyncio.create_task(self._feed(coming, line, decoder, closer))
            try:
                while (item := await line.get()) is not None:
                    look, inference = item
                    seen = await inference if inference else None
                    await loop.run_in_executor(stabiliser, masks.step, look, seen)
                    tell(masks.tally)
                await feeding
                await loop.run_in_executor(stabiliser, masks.finish)
            finally:
                feeding.cancel()
        return masks.tally

    async def _feed(self, coming: Iterator[Look], line: _Line, decoder: Executor, closer: Closer) -> None:
        """Puts looks into the line with their inferences started, and None at the end, also after an error."""
        loop = asyncio.get_running_loop()
        try:
            while look := await loop.run_in_executor(decoder, next, coming, None):
                seeing = None
                if look.picture is not None:
                    seeing = asyncio.create_task(self._see(look.picture, look.detail, closer))
                await line.put((look, seeing))
        except Exception:
            await line.put(None)
            raise
        await line.put(None)

    async def _see(self, picture: Pixels, detail: Pixels | None, closer: Closer) -> Seen:
        """One inference, or a second one where the first saw people."""
        values = await self._served.engine.infer(picture)
        if detail is None or (place := closer.place(values)) is None:
            return Seen(values)
        nearer = await asyncio.to_thread(closer.picture, detail, place)
        return Seen(values, await self._served.engine.infer(nearer), place)
