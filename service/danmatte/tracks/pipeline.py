"""A whole video's masks: decoding, inference and stabilising at once, with a bounded number of frames under way."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from danmatte.engine import Served
from danmatte.frame import Pixels
from danmatte.tracks.masks import MaskWriter
from danmatte.tracks.refinement import RefinedRegion, Refiner
from danmatte.tracks.selection import FrameObserver, NetworkAnswer, SelectedFrame, TrackPlan, select_frames
from danmatte.tracks.tally import Tally
from danmatte.tracks.writer import TrackWriter
from danmatte.video.reader import Video

REVISION = 1  # of everything between a video and its masks: a change of them is another number here
WARM_UP_MS = 500  # computed again before going on, so that the stabiliser has a past

_Infer: TypeAlias = Callable[[Pixels, Pixels | None], Coroutine[None, None, NetworkAnswer]]
_Line: TypeAlias = "asyncio.Queue[tuple[SelectedFrame, asyncio.Task[NetworkAnswer] | None] | None]"


class Pipeline:
    """Makes tracks with one network.

    Decoding has a thread, which also analyzes each picture by itself; stabilising and writing have another, the
    network its own, and regions for the second pass are cut out in one more. Frames pass between them in order, at
    most `in_flight` at a time, so that memory doesn't grow with the video.
    """

    def __init__(self, served: Served, *, in_flight: int) -> None:
        self._served, self._in_flight = served, in_flight

    async def run(
        self,
        video: Video,
        plan: TrackPlan,
        writer: TrackWriter,
        report: Callable[[Tally], object],
        observer: FrameObserver | None = None,
    ) -> Tally:
        """Goes on where the writer's track ends; calls `report` after every frame, and shows each to the `observer`.

        Raises EngineError and TrackError.
        """
        from_ms = 0 if writer.last_pts_ms is None else max(0, writer.last_pts_ms - WARM_UP_MS)
        manifest = self._served.manifest
        refiner = Refiner(manifest, video.size, plan.working) if plan.refine else None
        coming = select_frames(video, manifest, plan, from_ms=from_ms, refiner=refiner, observer=observer)
        masks = MaskWriter(manifest, video.size, plan, writer, refiner)
        line: _Line = asyncio.Queue(self._in_flight)
        loop = asyncio.get_running_loop()
        with (
            ThreadPoolExecutor(1, "decode") as decoder,
            ThreadPoolExecutor(1, "refine") as cutter,
            ThreadPoolExecutor(1, "stabilise") as stabiliser,
        ):
            infer = partial(self._infer, refiner=refiner, cutter=cutter)
            feeding = asyncio.create_task(_feed(coming, line, decoder, infer))
            try:
                while (item := await line.get()) is not None:
                    selected, inferring = item
                    # Inferences end in any order; the stabiliser takes frames in theirs.
                    answer = await inferring if inferring else None
                    await loop.run_in_executor(stabiliser, masks.step, selected, answer)
                    report(masks.tally)
                await feeding
                await loop.run_in_executor(stabiliser, masks.finish)
            finally:
                feeding.cancel()
        return masks.tally

    async def _infer(
        self, picture: Pixels, detail: Pixels | None, *, refiner: Refiner | None, cutter: Executor
    ) -> NetworkAnswer:
        """One inference, and a second pass where the first one shows people."""
        infer = self._served.batcher.infer
        values = await infer(picture)
        if refiner is None or detail is None or (region := refiner.choose_region(values)) is None:
            return NetworkAnswer(values)
        nearer = await asyncio.get_running_loop().run_in_executor(cutter, refiner.cut_out, detail, region)
        return NetworkAnswer(values, RefinedRegion(await infer(nearer), region))


async def _feed(coming: Iterator[SelectedFrame], line: _Line, decoder: Executor, infer: _Infer) -> None:
    """Puts frames into the line with their inferences started, and None at the end, also after an error."""
    loop = asyncio.get_running_loop()
    try:
        while selected := await loop.run_in_executor(decoder, next, coming, None):
            picture, detail = selected.picture, selected.detail
            inferring = None if picture is None else asyncio.create_task(infer(picture, detail))
            await line.put((replace(selected, detail=None), inferring))  # the detail is large, and only inference's
    except Exception:
        await line.put(None)
        raise
    await line.put(None)
