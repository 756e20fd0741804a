"""Several videos at once with one network, because one video alone can't keep many cores busy."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import cv2

from danmatte.contract.cores import count_cores
from danmatte.engine import Served
from danmatte.errors import InvalidParameterError, ServiceError
from danmatte.tracks.batch import (
    CORES_A_VIDEO,
    FailedTrack,
    KeptTrack,
    TrackJob,
    TrackOptions,
    TrackSummary,
    Watch,
    make_pipeline,
    track_video,
)
from danmatte.video.reader import Video

_PIXELS_PER_VIDEO = 1920 * 1080  # of a frame, for each concurrent video; a larger video uses the share of several


class PixelBudget:
    """A limit on the total frame size of all concurrent videos; it bounds the memory that decoders use for frames.

    A video that exceeds the whole budget is processed alone.
    """

    def __init__(self, pixels: int) -> None:
        self._total = self._available = pixels
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def reserve(self, pixels: int) -> AsyncIterator[None]:
        """Wait until so many pixels are available and reserve them within the block."""
        wanted = min(pixels, self._total)
        async with self._changed:
            await self._changed.wait_for(lambda: wanted <= self._available)
            self._available -= wanted
        try:
            yield
        finally:
            self._available += wanted
            async with self._changed:
                self._changed.notify_all()


def make_tracks(
    jobs: Sequence[TrackJob],
    options: TrackOptions,
    served: Served,
    watch: Watch | None = None,
    *,
    conclude: Callable[[TrackSummary], object] | None = None,
    at_once: int = 0,
) -> Iterator[TrackSummary]:
    """Make the track of every video and yield the summaries in the jobs' order; an error is part of its job's summary.

    `watch` returns an observer for each video that is decoded. `conclude` is called with each summary in a separate
    thread while the other videos continue. `at_once` videos are processed at a time; 0 chooses the number by the cores.
    Closing the iterator stops the unfinished ones, whose finished segments stay for a later run. Raises
    InvalidParameterError.
    """
    if at_once < 0:
        raise InvalidParameterError(f"at-once: expected at least 0, received {at_once}")
    cv2.setNumThreads(1)  # because every stage already has its own thread
    at_once = min(at_once or max(1, count_cores() // CORES_A_VIDEO), max(1, len(jobs)))
    with asyncio.Runner() as runner:
        batch = _TrackBatch(options, served, watch, at_once)
        tasks = [runner.get_loop().create_task(batch.make(job, conclude)) for job in jobs]
        for task in tasks:
            yield runner.run(_wait_for(task))


async def _wait_for(task: asyncio.Task[TrackSummary]) -> TrackSummary:
    """Wait for one task; the loop runs the others meanwhile."""
    return await task


class _TrackBatch:
    """The tracks of one batch of videos; the progress line shows one of the concurrent videos."""

    def __init__(self, options: TrackOptions, served: Served, watch: Watch | None, at_once: int) -> None:
        self._options, self._watch = options, watch
        self._pipeline = make_pipeline(served, videos=at_once)
        self._places = asyncio.Semaphore(at_once)
        self._budget = PixelBudget(at_once * _PIXELS_PER_VIDEO)
        self._has_progress = False  # whether the progress line is in use

    async def make(self, job: TrackJob, conclude: Callable[[TrackSummary], object] | None) -> TrackSummary:
        async with self._places:
            summary = await self._make(job)
            if conclude:
                await asyncio.to_thread(conclude, summary)
            return summary

    async def _make(self, job: TrackJob) -> TrackSummary:
        if job.track.exists() and not self._options.again:
            return KeptTrack(str(job.video), str(job.track))
        show_progress, self._has_progress = not self._has_progress, True
        try:
            return await self._track(job, show_progress=show_progress)
        except (ServiceError, OSError) as error:
            return FailedTrack(str(job.video), str(job.track), str(error))
        finally:
            self._has_progress = self._has_progress and not show_progress

    async def _track(self, job: TrackJob, *, show_progress: bool) -> TrackSummary:
        options = self._options
        with await asyncio.to_thread(Video, job.video, options.clock) as video:
            async with self._budget.reserve(video.size.pixels):
                return await track_video(
                    job, video, options, self._pipeline, watch=self._watch, show_progress=show_progress
                )
