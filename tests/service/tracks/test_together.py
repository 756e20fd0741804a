"""Several videos at once: the tracks are the same as when made one after another, and memory is bounded."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from danmatte.engine import Served
from danmatte.errors import InvalidParameterError
from danmatte.frame import Pixels
from danmatte.tracks import TrackReader, together
from danmatte.tracks.batch import (
    FailedTrack,
    FinishedTrack,
    KeptTrack,
    TrackJob,
    TrackOptions,
    TrackSummary,
    make_pipeline,
)
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.together import PixelBudget, make_tracks
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.reader import Video
from tests.service.tracks.videos import walking, write


class Watcher:
    """A counter of the concurrent videos, each from its first frame to its last."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self.under_way = self.most = 0

    def watch(self, video: Video) -> "Sight":
        return Sight(self, self._frames)

    def change(self, by: int) -> None:
        self.under_way += by
        self.most = max(self.most, self.under_way)


class Sight:
    """An observer of one video."""

    def __init__(self, watcher: Watcher, frames: int) -> None:
        self._watcher, self._left = watcher, frames

    def observe(self, frame: DecodedFrame, grey: Pixels, *, cut: bool) -> None:
        if frame.pts_ms == 0:
            self._watcher.change(1)
        self._left -= 1
        if self._left == 0:
            self._watcher.change(-1)


@pytest.fixture
def jobs(tmp_path: Path) -> Callable[[str], list[TrackJob]]:
    """Return a function that returns jobs for the same five videos, with tracks in a folder of the given name."""
    (tmp_path / "videos").mkdir()
    videos = [write(tmp_path / f"videos/{at}.mp4", walking(20 + at, number=at)) for at in range(5)]

    def plan(name: str) -> list[TrackJob]:
        (tmp_path / name).mkdir()
        return [TrackJob(video, tmp_path / name / f"{video.stem}.mattes") for video in videos]

    return plan


def test_concurrent_videos_get_the_same_tracks_as_sequential_ones(
    jobs: Callable[[str], list[TrackJob]], toy: Served
) -> None:
    alone, beside = jobs("alone"), jobs("beside")
    list(make_tracks(alone, TrackOptions(), toy, at_once=1))
    summaries = list(make_tracks(beside, TrackOptions(), toy, at_once=3))
    assert [summary.track for summary in summaries] == [str(job.track) for job in beside]
    assert [summary.masks for summary in summaries if isinstance(summary, FinishedTrack)] == [20, 21, 22, 23, 24]
    for one, other in zip(alone, beside, strict=True):
        assert one.track.read_bytes() == other.track.read_bytes()


def test_concurrent_videos_never_exceed_the_given_number(jobs: Callable[[str], list[TrackJob]], toy: Served) -> None:
    watcher = Watcher(20)
    list(make_tracks(jobs("tracks"), TrackOptions(), toy, watcher.watch, at_once=2))
    assert 1 <= watcher.most <= 2


@pytest.mark.parametrize(("cores", "at_once"), [(1, 1), (2, 1), (4, 2), (8, 4), (64, 5)])
def test_the_default_number_of_concurrent_videos_follows_the_cores(
    cores: int, at_once: int, jobs: Callable[[str], list[TrackJob]], toy: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []

    def make(served: Served, *, videos: int) -> Pipeline:
        counts.append(videos)
        return make_pipeline(served, videos=videos)

    monkeypatch.setattr(together, "count_cores", lambda: cores)
    monkeypatch.setattr(together, "make_pipeline", make)
    list(make_tracks(jobs("tracks"), TrackOptions(), toy))
    assert counts == [at_once]


def test_summaries_of_failed_and_kept_videos_stay_in_order(jobs: Callable[[str], list[TrackJob]], toy: Served) -> None:
    wanted = jobs("tracks")
    wanted[1].video.write_bytes(b"no video")
    wanted[3].track.write_bytes(b"a track")
    kinds = [type(summary) for summary in make_tracks(wanted, TrackOptions(), toy, at_once=4)]
    assert kinds == [FinishedTrack, FailedTrack, FinishedTrack, KeptTrack, FinishedTrack]
    assert wanted[3].track.read_bytes() == b"a track"


def test_other_videos_continue_while_a_finished_one_is_concluded(
    jobs: Callable[[str], list[TrackJob]], toy: Served
) -> None:
    wanted, concluded, second = jobs("tracks")[:2], list[str](), threading.Event()

    def conclude(summary: TrackSummary) -> None:
        if summary.track == str(wanted[0].track):
            assert second.wait(60)
        else:
            second.set()
        concluded.append(summary.track)

    summaries = list(make_tracks(wanted, TrackOptions(), toy, conclude=conclude, at_once=2))
    assert concluded == [str(job.track) for job in reversed(wanted)]
    assert [summary.track for summary in summaries] == [str(job.track) for job in wanted]


def test_failed_and_kept_videos_are_concluded_too(jobs: Callable[[str], list[TrackJob]], toy: Served) -> None:
    wanted, concluded = jobs("tracks")[:2], list[TrackSummary]()
    wanted[0].video.write_bytes(b"no video")
    wanted[1].track.write_bytes(b"a track")
    list(make_tracks(wanted, TrackOptions(), toy, conclude=concluded.append))
    assert {type(summary) for summary in concluded} == {FailedTrack, KeptTrack}


def test_closing_the_generator_ends_other_videos_without_partial_tracks(
    jobs: Callable[[str], list[TrackJob]], toy: Served
) -> None:
    wanted = jobs("tracks")
    making = make_tracks(wanted, TrackOptions(), toy, at_once=2)
    next(making)
    making.close()
    assert wanted[0].track.exists()
    finished = list(make_tracks(wanted, TrackOptions(), toy, at_once=2))
    assert isinstance(finished[0], KeptTrack)
    for job in wanted:
        with TrackReader(job.track) as track:
            assert len(list(track)) == 20 + int(job.video.stem)


def test_a_negative_number_of_concurrent_videos_is_rejected(toy: Served) -> None:
    with pytest.raises(InvalidParameterError, match="at-once: expected at least 0"):
        list(make_tracks([], TrackOptions(), toy, at_once=-1))


async def test_a_frame_larger_than_the_pixel_budget_waits_until_it_is_alone() -> None:
    budget, order = PixelBudget(100), list[str]()
    leave = asyncio.Event()

    async def use(name: str, pixels: int) -> None:
        async with budget.reserve(pixels):
            order.append(name)
            await leave.wait()

    small = [asyncio.create_task(use(name, 50)) for name in ("a", "b")]
    await asyncio.sleep(0)
    large = asyncio.create_task(use("huge", 10_000))
    for _ in range(10):
        await asyncio.sleep(0)
    assert order == ["a", "b"]
    leave.set()
    await asyncio.gather(*small, large)
    assert order == ["a", "b", "huge"]


PINNED = """
import os, sys
from pathlib import Path
os.sched_setaffinity(0, {int(cpu) for cpu in sys.argv[1].split(",")})
from danmatte import cli
sys.exit(cli.main(sys.argv[2:]))
"""


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="processes can't be pinned here")
def test_a_process_pinned_to_fewer_cores_makes_the_same_tracks(
    jobs: Callable[[str], list[TrackJob]], models: Path, tmp_path: Path
) -> None:
    jobs("unused")
    cpus, made = sorted(os.sched_getaffinity(0)), list[np.ndarray]()
    for count in {1, min(2, len(cpus))}:
        out = tmp_path / f"on-{count}"
        pinned = ",".join(map(str, cpus[:count]))
        words = ["track", tmp_path / "videos", "-o", out, "--models", models]
        subprocess.run([sys.executable, "-c", PINNED, pinned, *map(str, words)], check=True)
        assert len(list(out.glob("*.mattes"))) == 5
        for path in sorted(out.glob("*.mattes")):
            with TrackReader(path) as track:
                made.append(np.concatenate([entry.mask for entry in track]))
    for one, other in zip(made[:5], made[-5:], strict=True):
        assert (one == other).all()
