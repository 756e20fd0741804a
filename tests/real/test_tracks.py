"""Real videos: the effect of the stabiliser, the second pass and the reuse of masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from danmatte.engine import Served
from danmatte.frame import Size
from danmatte.models.standalone import open_version
from danmatte.tracks import TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.pipeline import Pipeline
from danmatte.tracks.selection import TrackPlan, choose_mask_size
from danmatte.video.motion import CutDetector
from danmatte.video.reader import Video
from scripts import steadiness
from tests.real.shared import ROOT, needed

pytestmark = [pytest.mark.slow, pytest.mark.data]
PASSERS_BY = "data/video/one-by-one-person-detection.mp4"
CLIPS = ("davis_hike", "davis_tennis")


@pytest.fixture(scope="module")
def served() -> Served:
    """The default model."""
    if not any((ROOT / "models/deeplab").glob("*/manifest.json")):
        pytest.skip("the default model isn't published yet")
    return open_version(ROOT / "models", "deeplab", for_many=True)


@pytest.fixture(scope="module")
def clips(served: Served) -> dict[str, dict[str, dict[str, float]]]:
    """Scores by clip and way."""
    return {name: steadiness.compare(steadiness.Clip(needed(f"data/video/{name}")), served) for name in CLIPS}


@pytest.mark.parametrize("name", CLIPS)
def test_the_stabiliser_reduces_flicker_without_losing_iou(clips: dict[str, Any], name: str) -> None:
    raw, live, offline = (clips[name][way] for way in ("frame by frame", "live", "offline"))
    assert offline["flicker_lower"] >= 0.35
    assert live["flicker_lower"] >= 0.25
    assert offline["error_change"] < raw["error_change"]
    assert min(live["iou"], offline["iou"]) >= raw["iou"]


@pytest.mark.parametrize("name", CLIPS)
def test_a_second_pass_raises_iou_and_makes_errors_steadier(clips: dict[str, Any], name: str) -> None:
    raw, offline, closer = (clips[name][way] for way in ("frame by frame", "offline", "offline, closer"))
    assert closer["iou"] >= offline["iou"] + 0.01
    assert closer["iou"] >= raw["iou"] + 0.04
    assert closer["error_change_lower"] >= 0.35


@pytest.mark.parametrize("name", CLIPS)
def test_no_cut_is_detected_within_one_clip(name: str) -> None:
    cuts = CutDetector()
    assert not any(cuts.step(grey) for grey in steadiness.Clip(needed(f"data/video/{name}")).greys)


def test_a_change_of_clip_is_detected_as_a_cut() -> None:
    cuts = CutDetector()
    first, second = (steadiness.Clip(needed(f"data/video/{name}")).greys[:20] for name in CLIPS)
    assert [at for at, grey in enumerate([*first, *second, *first]) if cuts.step(grey)] == [20, 40]


async def test_reused_masks_nearly_equal_the_masks_of_every_frame(served: Served, tmp_path: Path) -> None:
    path = needed(PASSERS_BY)
    tracks = {}
    for name, hold_ms in (("every", 0), ("reusing", 1000)):
        with Video(path) as video:
            plan = TrackPlan(choose_mask_size(video.shown), hold_ms=hold_ms)
            assert plan.size == Size(180, 320)
            with TrackWriter(tmp_path / f"{name}.mattes", TrackHeader(plan.size, "person")) as writer:
                tracks[name] = await Pipeline(served, in_flight=6).run(video, plan, writer, lambda _: None)
    assert tracks["reusing"].held > 0.4 * tracks["reusing"].masks
    with TrackReader(tmp_path / "every.mattes") as every, TrackReader(tmp_path / "reusing.mattes") as reusing:
        pairs = [(one.mask, other.mask) for one, other in zip(every, reusing, strict=True)]
    overlaps = [(one & other).sum() / (one | other).sum() for one, other in pairs if one.any() or other.any()]
    assert np.mean(overlaps) >= 0.99
