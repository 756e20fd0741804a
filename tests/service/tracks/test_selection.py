"""Frame selection: which frames get a mask, and which of them are held."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from danmatte.contract.manifest import Manifest
from danmatte.frame import Size
from danmatte.tracks.selection import StillnessDetector, TrackPlan, choose_mask_size, limit_rate, select_frames
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.reader import Video
from tests.service.scenes import scene, with_person
from tests.service.tracks.videos import empty, walking, write

PLAN = TrackPlan(Size(180, 320))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [((1080, 1920), (180, 320)), ((480, 640), (180, 240)), ((1920, 1080), (320, 180)), ((800, 1920), (133, 320))],
)
def test_masks_keep_the_aspect_ratio_of_the_video(shown: tuple[int, int], expected: tuple[int, int]) -> None:
    assert choose_mask_size(Size(*shown)) == expected


def test_the_working_size_does_not_grow_with_the_mask_size() -> None:
    assert PLAN.working == (180, 320)
    assert replace(PLAN, size=Size(720, 1280)).working == (180, 320)


@pytest.mark.parametrize(("fps", "left"), [(30, 300), (15, 150), (60, 300), (10, 100), (1, 10)])
def test_the_number_of_masks_per_second_is_limited(fps: float, left: int) -> None:
    frames = [SimpleNamespace(pts_ms=round(at * 1000 / 30)) for at in range(300)]
    assert len(list(limit_rate(iter(frames), fps))) in (left, left + 1)


def test_limiting_the_rate_selects_the_same_frames_from_any_start() -> None:
    frames = [SimpleNamespace(pts_ms=round(at * 1001 / 30)) for at in range(300)]
    whole = [frame.pts_ms for frame in limit_rate(iter(frames), 12)]
    later = [frame.pts_ms for frame in limit_rate(iter(frames[101:]), 12)]
    assert later[1:] == whole[-len(later) + 1 :]


def test_a_still_picture_is_computed_again_at_intervals() -> None:
    stillness = StillnessDetector(PLAN)
    held = [stillness.step(scene(1), 100 * at, cut=False) for at in range(25)]
    assert [at for at, each in enumerate(held) if not each] == [0, 10, 20]


def test_movement_of_a_small_figure_prevents_holding() -> None:
    stillness, moved = StillnessDetector(PLAN), scene(1)
    moved[80:100, 100:110] = 230
    assert not stillness.step(scene(1), 0, cut=False)
    assert not stillness.step(moved, 40, cut=False)


def test_slow_changes_add_up_until_a_new_mask_is_computed() -> None:
    stillness = StillnessDetector(replace(PLAN, hold_ms=10**6))
    held = [stillness.step(cv2.add(scene(1), at // 4), 40 * at, cut=False) for at in range(40)]
    assert held.count(False) > 3


def test_no_mask_is_held_across_a_cut() -> None:
    stillness = StillnessDetector(PLAN)
    stillness.step(scene(1), 0, cut=False)
    assert not stillness.step(scene(1), 40, cut=True)


class Notes:
    """An observer that records its calls."""

    def __init__(self) -> None:
        self.seen = list[tuple[int, bool, tuple[int, ...], float]]()

    def observe(self, frame: DecodedFrame, grey: np.ndarray, *, cut: bool) -> None:
        self.seen.append((frame.pts_ms, cut, grey.shape, float(frame.to_grey(Size(18, 32)).mean())))


def test_an_observer_sees_the_pixels_of_every_frame_that_gets_a_mask(tmp_path: Path, toy_manifest: Manifest) -> None:
    path, notes = write(tmp_path / "a.mp4", walking(10, still=True) + empty(10)), Notes()
    with Video(path) as video:
        selected = list(select_frames(video, toy_manifest, replace(PLAN, fps=12.5), observer=notes))
    assert [pts_ms for pts_ms, *_ in notes.seen] == [frame.analysis.pts_ms for frame in selected]
    assert [cut for _, cut, *_ in notes.seen].count(True) == 1
    assert {shape for *_, shape, _ in notes.seen} == {(180, 320)}
    assert notes.seen[-1][3] > notes.seen[0][3]  # the second scene is brighter


def test_the_frame_after_a_cut_is_shown_to_the_network(tmp_path: Path, toy_manifest: Manifest) -> None:
    path = write(tmp_path / "a.mp4", walking(10, still=True) + empty(10))
    with Video(path) as video:
        seen = list(select_frames(video, toy_manifest, PLAN))
    assert [frame.analysis.cut for frame in seen].index(True) == 10
    assert seen[10].picture is not None
    assert seen[9].picture is None
    assert seen[9].analysis.grey.shape == with_person(20).shape
