"""Tracks for `danmatte track`: which videos get one, how each is made, and a summary for each."""

import asyncio
import hashlib
import os
import re
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

from msgspec import Struct

from danmatte.contract.cores import count_cores
from danmatte.contract.near_words import did_you_mean
from danmatte.contract.whole_files import cut_name
from danmatte.engine import Served
from danmatte.errors import InvalidParameterError, say_where
from danmatte.frame import Size
from danmatte.tracks.film import describe_film
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.progress import Progress
from danmatte.tracks.selection import BOX, FrameObserver, TrackPlan, choose_mask_size
from danmatte.tracks.track import Format, TrackHeader, find_format
from danmatte.tracks.writer import TrackWriter
from danmatte.video.playlist import list_named_files
from danmatte.video.reader import ClockName, Video
from danmatte.video.silhouette import MAX_MARGIN
from danmatte.video.stabiliser import StabiliserOptions

_SUFFIXES = (
    "3g2 3gp asf av1 avi divx dv f4v flv h26[45] hevc ivf m2t m2ts m2v m3u8 m4v mjpe?g mk3d mkv mov mp4 mpd mpe?g mpv "
    "mts mxf nut obu og[mv] qt rm rmvb ts vob webm wmv y4m 26[45]"
)
_VIDEOS = re.compile(rf"[^.].*\.({_SUFFIXES.replace(' ', '|')})", re.I | re.S)  # macOS has ._NAME beside each NAME

CORES_A_VIDEO = 2  # one video's decoding, stabilisation and inference keep about this many cores busy

Watch: TypeAlias = Callable[[Video], FrameObserver]
"""A function that returns the observer of a video before it is decoded."""


@dataclass(frozen=True)
class TrackOptions:
    """Options of a batch of tracks; they apply to every video.

    The masks fit into `box`, which is turned for portrait videos. `fps` is the maximum number of masks per second.
    `clock` selects a player's times or the file's own. `margin` is added around people, as a share of the height.
    With `raw` the network's masks aren't stabilised, with `again` existing tracks are replaced, and with `closer`
    there is a second pass. `regions` are painted together; the default is the model's own. Raises
    InvalidParameterError.
    """

    box: Size = BOX
    fps: float = 30.0
    clock: ClockName = "media"
    raw: bool = False
    again: bool = False
    closer: bool = False
    margin: float = 0.0
    regions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise InvalidParameterError(f"fps: expected more than 0 and at most 1000, received {self.fps}")
        if self.clock not in get_args(ClockName):
            raise InvalidParameterError(f"clock: expected {' or '.join(get_args(ClockName))}, received {self.clock!r}")
        if not 0 <= self.margin <= MAX_MARGIN:
            raise InvalidParameterError(f"margin: expected 0 to {MAX_MARGIN}, received {self.margin}")
        if self.raw and self.margin:
            raise InvalidParameterError("margin: expected 0 with raw, which leaves the network's masks unchanged")

    def plan(self, shown: Size) -> TrackPlan:
        """Return the plan for a video that is shown at this size."""
        stabiliser = None if self.raw else StabiliserOptions(margin=self.margin)
        size = choose_mask_size(shown, self.box)
        return TrackPlan(size, fps=self.fps, stabiliser=stabiliser, refine=self.closer, regions=self.regions)


class TrackJob(NamedTuple):
    """A video and the path of its track."""

    video: Path
    track: Path


class TrackSummary(Struct, frozen=True):
    """The outcome for one video."""

    video: str
    track: str

    @property
    @abstractmethod
    def exit_code(self) -> int:
        """0 if the track is complete, 1 if frames were lost, 2 if there is no track."""

    @abstractmethod
    def describe(self) -> str:
        """Return the summary as text."""


class KeptTrack(TrackSummary, frozen=True):
    """A track that already existed and was kept."""

    kept: Literal[True] = True

    @property
    def exit_code(self) -> int:
        return 0

    def describe(self) -> str:
        return f"{self.video}: {self.track} already exists and was kept; --again replaces it"


class FailedTrack(TrackSummary, frozen=True):
    """A video for which no track could be made."""

    error: str

    @property
    def exit_code(self) -> int:
        return 2

    def describe(self) -> str:
        return say_where(self.video, self.error)


class FinishedTrack(TrackSummary, frozen=True):
    """A track that was made, with `masks` masks up to `until_ms`; `held_share` of them repeat the previous mask.

    The network ran on `inferred` frames, and twice on `looked_closer` of them. `broken` says which frames were lost.
    `frames_before_start` counts frames without a mask because players start after them. `resumed_after_ms` is the last
    mask's time in the interrupted run that this one resumed, and `resumed_masks` counts that run's masks.
    """

    size: str
    masks: int
    inferred: int
    looked_closer: int
    held_share: float
    cuts: int
    until_ms: int
    frames_out_of_order: int
    frames_before_start: int
    broken: str
    resumed_after_ms: int | None
    resumed_masks: int
    seconds: float
    bytes: int

    @property
    def exit_code(self) -> int:
        return int(bool(self.broken))

    def describe(self) -> str:
        speed = (self.masks - self.resumed_masks) / max(self.seconds, 0.001)
        words = (
            f"{self.video}: {self.masks} masks of {self.size} in {self.seconds:.1f} s "
            f"({speed:.0f} a second), {100 * self.held_share:.0f} % held, {self.cuts} cuts, "
            f"{self.bytes} bytes: {self.track}"
        )
        if self.frames_before_start:
            words += f"\n{self.video}: {self.frames_before_start} frames before 0 ms, which no player shows"
        return words + (f"\n{self.video}: broken: {self.broken}" if self.broken else "")


def make_pipeline(served: Served, *, videos: int = 1) -> Pipeline:
    """Return a pipeline with enough frames in flight to keep every core busy while `videos` are processed at once."""
    return Pipeline(served, in_flight=2 * -(-count_cores() // videos) + 2)


def make_track(
    job: TrackJob,
    options: TrackOptions,
    served: Served,
    pipeline: Pipeline | None = None,
    *,
    watch: Watch | None = None,
) -> FinishedTrack:
    """Make the track of one video. Raises ServiceError and OSError if that fails."""
    with Video(job.video, options.clock) as video:
        return asyncio.run(track_video(job, video, options, pipeline or make_pipeline(served), watch=watch))


async def track_video(
    job: TrackJob,
    video: Video,
    options: TrackOptions,
    pipeline: Pipeline,
    *,
    watch: Watch | None = None,
    show_progress: bool = True,
) -> FinishedTrack:
    """Make the track of an open video, with a progress line if `show_progress`. Raises ServiceError and OSError."""
    started, manifest = time.monotonic(), pipeline.manifest
    plan, facts = options.plan(video.shown), job.video.stat()
    header = TrackHeader(plan.size, find_format(job.track).polarity, manifest.name, manifest.version)
    # Everything that determines the masks: an interrupted run is resumed only if none of it has changed.
    graph, weights = manifest.files.graph.sha256, manifest.files.weights.sha256
    label = f"{facts.st_size} {facts.st_mtime_ns} {plan} {options.clock} {graph} {weights}"
    with TrackWriter(job.track, header, job=label) as writer:
        resumed_ms = writer.last_pts_ms
        resumed_masks = writer.tally.masks
        progress = Progress(job.video.name, writer.tally, video.end_ms, enabled=show_progress)
        try:
            observer = watch(video) if watch else None
            tally = await pipeline.run(video, plan, writer, progress.step, observer)
        finally:
            progress.finish()
        digest = await asyncio.to_thread(_compute_digest, job.video)
        writer.describe_film(describe_film(video, digest, video.ended_ms))
    return FinishedTrack(
        video=str(job.video),
        track=str(job.track),
        size=str(plan.size),
        masks=tally.masks,
        inferred=tally.inferred,
        looked_closer=tally.looked_closer,
        held_share=round(tally.held / tally.masks, 4) if tally.masks else 0.0,
        cuts=tally.cuts,
        until_ms=tally.last_ms,
        frames_out_of_order=video.dropped,
        frames_before_start=video.before_start,
        broken=video.broken,
        resumed_after_ms=resumed_ms,
        resumed_masks=resumed_masks,
        seconds=round(time.monotonic() - started, 3),
        bytes=job.track.stat().st_size,
    )


def _compute_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_video_name(name: str) -> bool:
    """Return whether a file name has a video's extension and isn't hidden by a leading dot."""
    return _VIDEOS.fullmatch(name) is not None


def plan_jobs(videos: Sequence[Path], out: Path, format_: str) -> list[TrackJob]:
    """Return a job for each video, including videos in folders.

    `format_` is a track's suffix with or without its dot; empty for the suffix of `out` or the default format. Raises
    InvalidParameterError, also if two videos would get the same track.
    """
    suffix = f".{format_.removeprefix('.')}" if format_ else ""
    if suffix and suffix not in Format.registered:
        raise InvalidParameterError(f"format: unknown {format_!r}{did_you_mean(suffix, list(Format.registered))}")
    found = list_videos(videos)
    if out.suffix in Format.registered and not out.is_dir():
        if len(found) > 1 or (suffix and suffix != out.suffix):
            raise InvalidParameterError(f"{out}: expected a folder for {len(found)} tracks as {suffix or out.suffix}")
        return [TrackJob(found[0], out)]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidParameterError(f"{out}: expected a folder for tracks: {error.strerror}") from error
    named: dict[Path, Path] = {}
    for video in found:
        path = out / cut_name(video.stem, suffix or next(iter(Format.registered)))
        if path in named:
            raise InvalidParameterError(f"{path}: expected one video, received {named[path]} and {video}")
        named[path] = video
    return [TrackJob(video, path) for path, video in named.items()]


def list_videos(given: Sequence[Path]) -> list[Path]:
    """Return the given videos and those in the given folders. Raises InvalidParameterError if there are none.

    In a folder, segments of a playlist there don't count as separate videos.
    """
    found: list[Path] = []
    for path in given:
        try:
            files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else []
        except OSError as error:
            raise InvalidParameterError(f"{path}: expected a folder to read: {error.strerror}") from error
        segments = {os.path.normpath(named) for file in files for named in list_named_files(file)}
        videos = [file for file in files if is_video_name(file.name) and os.path.normpath(file) not in segments]
        found += videos if path.is_dir() else [path]
    if not found:
        raise InvalidParameterError(f"videos: expected at least one in {', '.join(map(str, given))}, received none")
    return found


def choose_exit_code(summaries: Sequence[TrackSummary]) -> int:
    """Return the exit code of the worst outcome."""
    return max((summary.exit_code for summary in summaries), default=0)
