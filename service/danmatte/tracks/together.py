"""Several videos at once with one network, so that more cores are busy than one video feeds."""

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

_ROOM_PIXELS = 1920 * 1080  # of a frame, for each video at once: larger ones have the room of several


class PictureRoom:
    """How large frames may be, of all videos at once: decoders keep many, so that memory is bounded by them.

    A video that is larger than all the room is made alone.
    """

    def __init__(self, pixels: int) -> None:
        self._whole = self._left = pixels
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, pixels: int) -> AsyncIterator[None]:
        """Waits for room, and has it within the block."""
        wanted = min(pixels, self._whole)
        async with self._changed:
            await self._changed.wait_for(lambda: wanted <= self._left)
            self._left -= wanted
        try:
            yield
        finally:
            self._left += wanted
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
    """Makes the track of every video, and gives the summaries in their order; what goes wrong with one is in its own.

    `watch` gives an observer for each video that is decoded, and `conclude` is called with each summary, in a thread of
    its own, while the others go on. `at_once` videos are under way at a time, 0 are as many as the cores feed. Closing
    the iterator ends those under way; what they had is found again. Raises InvalidParameterError.
    """
    if at_once < 0:
        raise InvalidParameterError(f"at-once: expected at least 0, received {at_once}")
    cv2.setNumThreads(1)  # every stage has a thread already
    at_once = min(at_once or max(1, count_cores() // CORES_A_VIDEO), max(1, len(jobs)))
    with asyncio.Runner() as runner:
        crew = _Crew(options, served, watch, at_once)
        tasks = [runner.get_loop().create_task(crew.make(job, conclude)) for job in jobs]
        for task in tasks:
            yield runner.run(_wait_for(task))


async def _wait_for(task: asyncio.Task[TrackSummary]) -> TrackSummary:
    """The others go on meanwhile."""
    return await task


class _Crew:
    """Makes the tracks of one batch; one line tells the progress of one of its videos at a time."""

    def __init__(self, options: TrackOptions, served: Served, watch: Watch | None, at_once: int) -> None:
        self._options, self._watch = options, watch
        self._pipeline = make_pipeline(served, videos=at_once)
        self._places = asyncio.Semaphore(at_once)
        self._room = PictureRoom(at_once * _ROOM_PIXELS)
        self._told = False

    async def make(self, job: TrackJob, conclude: Callable[[TrackSummary], object] | None) -> TrackSummary:
        async with self._places:
            summary = await self._make(job)
            if conclude:
                await asyncio.to_thread(conclude, summary)
            return summary

    async def _make(self, job: TrackJob) -> TrackSummary:
        if job.track.exists() and not self._options.again:
            return KeptTrack(str(job.video), str(job.track))
        tells, self._told = not self._told, True
        try:
            return await self._track(job, tells=tells)
        except (ServiceError, OSError) as error:
            return FailedTrack(str(job.video), str(job.track), str(error))
        finally:
            self._told = self._told and not tells

    async def _track(self, job: TrackJob, *, tells: bool) -> TrackSummary:
        options = self._options
        with await asyncio.to_thread(Video, job.video, options.clock) as video:
            async with self._room.take(video.size.pixels):
                return await track_video(job, video, options, self._pipeline, watch=self._watch, tells=tells)
