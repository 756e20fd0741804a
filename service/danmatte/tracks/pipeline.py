"""The pipeline for a whole video's masks: decoding, inference and stabilisation run at once on a bounded queue."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from danmatte.contract.manifest import Manifest
from danmatte.engine import Served
from danmatte.frame import Pixels, Probabilities
from danmatte.tracks.masks import MaskWriter
from danmatte.tracks.refinement import Refiner, Region
from danmatte.tracks.regions import RegionUnion
from danmatte.tracks.selection import FrameObserver, NetworkOutput, SelectedFrame, TrackPlan, select_frames
from danmatte.tracks.survey import Infer, Survey, refine_region, survey_frame
from danmatte.tracks.tally import Tally
from danmatte.tracks.writer import TrackWriter
from danmatte.video.reader import Video

REVISION = 3  # to be raised by every change that alters masks, anywhere between a video and its track
WARM_UP_MS = 500  # recomputed before a resumed track continues, because the stabiliser needs earlier frames

_Queue: TypeAlias = "asyncio.Queue[tuple[SelectedFrame, asyncio.Task[NetworkOutput] | None] | None]"


class Pipeline:
    """A pipeline that makes tracks with one network.

    One thread decodes and analyzes frames, one stabilises and writes masks, one crops regions for the second pass, and
    the network has its own threads. Frames pass between them in order, at most `in_flight` at a time, so memory use
    doesn't depend on the video's length.
    """

    def __init__(self, served: Served, *, in_flight: int) -> None:
        self._served, self._in_flight = served, in_flight

    @property
    def manifest(self) -> Manifest:
        """The network's manifest."""
        return self._served.manifest

    async def run(
        self,
        video: Video,
        plan: TrackPlan,
        writer: TrackWriter,
        report: Callable[[Tally], object],
        observer: FrameObserver | None = None,
    ) -> Tally:
        """Write the masks after the end of the writer's track and return the tally.

        Calls `report` after every frame and passes each frame to the `observer`. Raises EngineError and TrackError.
        """
        from_ms = plan.span.warm_ms if writer.last_pts_ms is None else max(0, writer.last_pts_ms - WARM_UP_MS)
        manifest, regions = self.manifest, RegionUnion(self.manifest, plan.regions)
        refiner = Refiner(manifest, video.size, plan.working, regions.grid) if plan.refine else None
        coming = select_frames(video, manifest, plan, from_ms=from_ms, refiner=refiner, observer=observer)
        masks = MaskWriter(manifest, video.size, plan, writer, refiner)
        queue: _Queue = asyncio.Queue(self._in_flight)
        loop = asyncio.get_running_loop()
        with (
            ThreadPoolExecutor(1, "decode") as decoder,
            ThreadPoolExecutor(1, "refine") as cutter,
            ThreadPoolExecutor(1, "stabilise") as stabiliser,
        ):
            inference = _VideoInference(partial(self._infer, regions=regions), refiner, cutter)
            feeding = asyncio.create_task(_feed(coming, queue, decoder, inference))
            try:
                while (item := await queue.get()) is not None:
                    selected, inferring = item
                    # Inferences finish in any order, but the stabiliser needs frames in the video's order.
                    output = await inferring if inferring else None
                    await loop.run_in_executor(stabiliser, masks.step, selected, output)
                    report(masks.tally)
                    if masks.finished:
                        break
                else:
                    await feeding
                    await loop.run_in_executor(stabiliser, masks.finish)
            finally:
                feeding.cancel()
        return masks.tally

    async def _infer(self, shown: Pixels, regions: RegionUnion) -> Probabilities:
        """Return the probabilities, (h, w), for a graph's input."""
        return regions.select(await self._served.batcher.compute((self._served.engine.arrange(shown),)))


class _VideoInference:
    """The inference of one video's frames, started in order, in one pass or two; many run at the same time."""

    def __init__(self, infer: Infer, refiner: Refiner | None, cutter: Executor) -> None:
        self._infer, self._refiner, self._cutter = infer, refiner, cutter
        self._survey: asyncio.Task[Survey] | None = None

    def start(self, selected: SelectedFrame) -> "asyncio.Task[NetworkOutput] | None":
        """Start the inference of a frame and return its task; None for a frame whose mask is held."""
        if selected.picture is None:
            return None
        if self._refiner is None or selected.detail is None:
            return asyncio.create_task(self._infer_once(selected.picture))
        # Each frame waits for the survey of the previous frame, but not for that frame's second pass.
        survey = asyncio.create_task(self._survey_frame(selected, self._survey, self._refiner))
        self._survey = survey
        return asyncio.create_task(self._refine(selected.detail, survey, self._refiner))

    async def _infer_once(self, picture: Pixels) -> NetworkOutput:
        return NetworkOutput(await self._infer(picture))

    async def _survey_frame(
        self, selected: SelectedFrame, before: "asyncio.Task[Survey] | None", refiner: Refiner
    ) -> Survey:
        assert selected.picture is not None
        known = await before if before else None
        return await survey_frame(selected.analysis, selected.picture, known, self._infer, refiner)

    async def _refine(self, detail: Pixels, survey: "asyncio.Task[Survey]", refiner: Refiner) -> NetworkOutput:
        async def cut_out(region: Region) -> Pixels:
            return await asyncio.get_running_loop().run_in_executor(self._cutter, refiner.cut_out, detail, region)

        return await refine_region(await survey, cut_out, self._infer)


async def _feed(coming: Iterator[SelectedFrame], queue: _Queue, decoder: Executor, inference: _VideoInference) -> None:
    """Start each frame's inference and put both into the queue; None marks the end, also after an error."""
    loop = asyncio.get_running_loop()
    try:
        while selected := await loop.run_in_executor(decoder, next, coming, None):
            inferring = inference.start(selected)
            # Queued without the detail, which is large and needed only by the inference.
            await queue.put((replace(selected, detail=None), inferring))
    except Exception:
        await queue.put(None)
        raise
    await queue.put(None)
