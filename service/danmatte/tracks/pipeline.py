"""A whole video's masks: decoding, inference and stabilising at once, with a bounded number of frames under way."""

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
from danmatte.tracks.selection import FrameObserver, NetworkAnswer, SelectedFrame, TrackPlan, select_frames
from danmatte.tracks.survey import Infer, Survey, refine_region, survey_frame
from danmatte.tracks.tally import Tally
from danmatte.tracks.writer import TrackWriter
from danmatte.video.reader import Video

REVISION = 3  # of everything between a video and its masks: a change of them is another number here
WARM_UP_MS = 500  # computed again before going on, so that the stabiliser has a past

_Line: TypeAlias = "asyncio.Queue[tuple[SelectedFrame, asyncio.Task[NetworkAnswer] | None] | None]"


class Pipeline:
    """Makes tracks with one network.

    Decoding has a thread, which also analyzes each picture by itself; stabilising and writing have another, the
    network its own, and regions for the second pass are cut out in one more. Frames pass between them in order, at
    most `in_flight` at a time, so that memory doesn't grow with the video.
    """

    def __init__(self, served: Served, *, in_flight: int) -> None:
        self._served, self._in_flight = served, in_flight

    @property
    def manifest(self) -> Manifest:
        """The network's."""
        return self._served.manifest

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
        from_ms = plan.span.warm_ms if writer.last_pts_ms is None else max(0, writer.last_pts_ms - WARM_UP_MS)
        manifest, regions = self.manifest, RegionUnion(self.manifest, plan.regions)
        refiner = Refiner(manifest, video.size, plan.working, regions.grid) if plan.refine else None
        coming = select_frames(video, manifest, plan, from_ms=from_ms, refiner=refiner, observer=observer)
        masks = MaskWriter(manifest, video.size, plan, writer, refiner)
        line: _Line = asyncio.Queue(self._in_flight)
        loop = asyncio.get_running_loop()
        with (
            ThreadPoolExecutor(1, "decode") as decoder,
            ThreadPoolExecutor(1, "refine") as cutter,
            ThreadPoolExecutor(1, "stabilise") as stabiliser,
        ):
            looker = _Looker(partial(self._infer, regions=regions), refiner, cutter)
            feeding = asyncio.create_task(_feed(coming, line, decoder, looker))
            try:
                while (item := await line.get()) is not None:
                    selected, inferring = item
                    # Inferences end in any order; the stabiliser takes frames in theirs.
                    answer = await inferring if inferring else None
                    await loop.run_in_executor(stabiliser, masks.step, selected, answer)
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
        """The map of a graph's input."""
        return regions.select(await self._served.batcher.compute((self._served.engine.arrange(shown),)))


class _Looker:
    """Looks at the frames of one video, in their order, once or twice; many are under way at the same time."""

    def __init__(self, infer: Infer, refiner: Refiner | None, cutter: Executor) -> None:
        self._infer, self._refiner, self._cutter = infer, refiner, cutter
        self._survey: asyncio.Task[Survey] | None = None

    def start(self, selected: SelectedFrame) -> "asyncio.Task[NetworkAnswer] | None":
        """Begins with a frame; None for one whose mask is held."""
        if selected.picture is None:
            return None
        if self._refiner is None or selected.detail is None:
            return asyncio.create_task(self._look_once(selected.picture))
        # Each frame waits for what the one before found out about the whole picture, and not for its second look.
        survey = asyncio.create_task(self._survey_frame(selected, self._survey, self._refiner))
        self._survey = survey
        return asyncio.create_task(self._look_twice(selected.detail, survey, self._refiner))

    async def _look_once(self, picture: Pixels) -> NetworkAnswer:
        return NetworkAnswer(await self._infer(picture))

    async def _survey_frame(
        self, selected: SelectedFrame, before: "asyncio.Task[Survey] | None", refiner: Refiner
    ) -> Survey:
        assert selected.picture is not None
        known = await before if before else None
        return await survey_frame(selected.analysis, selected.picture, known, self._infer, refiner)

    async def _look_twice(self, detail: Pixels, survey: "asyncio.Task[Survey]", refiner: Refiner) -> NetworkAnswer:
        async def cut_out(region: Region) -> Pixels:
            return await asyncio.get_running_loop().run_in_executor(self._cutter, refiner.cut_out, detail, region)

        return await refine_region(await survey, cut_out, self._infer)


async def _feed(coming: Iterator[SelectedFrame], line: _Line, decoder: Executor, looker: _Looker) -> None:
    """Puts frames into the line with their inferences started, and None at the end, also after an error."""
    loop = asyncio.get_running_loop()
    try:
        while selected := await loop.run_in_executor(decoder, next, coming, None):
            inferring = looker.start(selected)
            await line.put((replace(selected, detail=None), inferring))  # the detail is large, and only inference's
    except Exception:
        await line.put(None)
        raise
    await line.put(None)
