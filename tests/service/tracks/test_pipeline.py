"""The pipeline from a video to its track."""

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, FakeEngine, Served
from danmatte.errors import EngineError
from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.selection import TrackPlan
from danmatte.tracks.tally import Tally
from danmatte.video.reader import Video
from tests.service.tracks.videos import empty, walking, write

PLAN = TrackPlan(Size(180, 320))


class Watched(FakeEngine):
    """An engine that counts concurrent calls; it can fail at one call, or block until `at_least` calls wait."""

    def __init__(self, manifest: Manifest, fails_at: int = 0, at_least: int = 1) -> None:
        super().__init__(manifest, delay_s=0.002)
        self.now = self.most = self.count = 0
        self._fails_at, self._at_least, self._enough = fails_at, at_least, threading.Event()
        self._counting = threading.Lock()

    def compute(self, inputs: Arrays) -> Arrays:
        with self._counting:
            self.count += 1
            if self.count == self._fails_at:
                raise EngineError("the network failed")
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now >= self._at_least:
                self._enough.set()
        try:
            assert self._enough.wait(10)
            return super().compute(inputs)
        finally:
            with self._counting:
                self.now -= 1


async def track(video: Path, out: Path, served: Served, plan: TrackPlan = PLAN, in_flight: int = 4) -> Tally:
    with Video(video) as opened, TrackWriter(out, TrackHeader(plan.size, "person")) as writer:
        return await Pipeline(served, in_flight=in_flight).run(opened, plan, writer, lambda _: None)


def entries(path: Path) -> list[Entry]:
    with TrackReader(path) as track:
        return list(track)


async def test_every_frame_gets_a_mask_at_its_timestamp(tmp_path: Path, toy: Served) -> None:
    times = [0, 33, 67, 90, 300, 340, 1000, 2500, 2541, 2600]
    video = write(tmp_path / "a.mkv", walking(10), times_ms=times)
    tally = await track(video, tmp_path / "a.mattes", toy)
    assert [entry.pts_ms for entry in entries(tmp_path / "a.mattes")] == times
    assert tally.masks == 10
    assert tally.last_ms == 2600


async def test_the_mask_is_where_the_person_is(tmp_path: Path, toy: Served) -> None:
    await track(write(tmp_path / "a.mp4", walking(20)), tmp_path / "a.mattes", toy)
    for at, entry in enumerate(entries(tmp_path / "a.mattes")):
        columns = np.flatnonzero(entry.mask[60:150].mean(0) > 0.5)
        assert abs(columns.mean() - (20 + 3 * at + 20)) < 4
        assert entry.coverage == pytest.approx(entry.mask.mean(), abs=1 / 255)


async def test_masks_of_a_still_scene_are_computed_only_occasionally(tmp_path: Path, toy_manifest: Manifest) -> None:
    engine = Watched(toy_manifest)
    video = write(tmp_path / "a.mp4", walking(100, still=True))
    tally = await track(video, tmp_path / "a.mattes", Served(toy_manifest, engine))
    assert engine.count == tally.inferred < 10
    assert tally.held == 100 - tally.inferred
    found = entries(tmp_path / "a.mattes")
    assert [entry.keyframe for entry in found] == [not entry.held for entry in found]


async def test_no_mask_is_held_over_a_cut(tmp_path: Path, toy: Served) -> None:
    pictures = walking(30, still=True) + empty(30) + walking(30, still=True)
    await track(write(tmp_path / "a.mp4", pictures), tmp_path / "a.mattes", toy)
    found = entries(tmp_path / "a.mattes")
    assert [at for at, entry in enumerate(found) if entry.cut] == [30, 60]
    assert not any(found[at].held for at in (30, 60))
    apart = (found[29].mask ^ found[30].mask).mean()
    assert apart > 0.05


async def test_the_number_of_frames_in_progress_is_limited(tmp_path: Path, toy_manifest: Manifest) -> None:
    engine = Watched(toy_manifest, at_least=3)
    video = write(tmp_path / "a.mp4", walking(80))
    await track(video, tmp_path / "a.mattes", Served(toy_manifest, engine), in_flight=3)
    assert 3 <= engine.most <= 3 + 2  # 3 in the queue, one at the decoder, one at the stabiliser


async def test_a_failing_network_ends_the_track_and_a_second_run_resumes_it(
    tmp_path: Path, toy_manifest: Manifest, toy: Served
) -> None:
    video = write(tmp_path / "a.mp4", walking(160), times_ms=range(0, 40_000, 250))
    with pytest.raises(EngineError, match="network failed"):
        await track(video, tmp_path / "a.mattes", Served(toy_manifest, Watched(toy_manifest, fails_at=150)))
    assert not (tmp_path / "a.mattes").exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith(("decode", "stabilise"))]
    again = Watched(toy_manifest)
    await track(video, tmp_path / "a.mattes", Served(toy_manifest, again))
    assert again.count < 60
    assert [entry.pts_ms for entry in entries(tmp_path / "a.mattes")] == list(range(0, 40_000, 250))


async def test_a_truncated_video_keeps_all_masks_before_the_break(tmp_path: Path, toy: Served) -> None:
    video = write(tmp_path / "a.mp4", walking(200))
    os.truncate(video, video.stat().st_size // 2)
    tally = await track(video, tmp_path / "a.mattes", toy)
    assert [entry.pts_ms for entry in entries(tmp_path / "a.mattes")] == list(range(0, 40 * tally.masks, 40))
    assert tally.masks > 40


async def test_masks_larger_than_the_working_size_are_enlarged(tmp_path: Path, toy: Served) -> None:
    plan = TrackPlan(Size(360, 640), stabiliser=None)
    await track(write(tmp_path / "a.mp4", walking(3)), tmp_path / "a.mattes", toy, plan)
    found = entries(tmp_path / "a.mattes")
    assert found[0].mask.shape == (360, 640)
    assert found[0].mask[200, 80]
