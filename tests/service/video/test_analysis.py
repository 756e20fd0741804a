"""Analysis of a frame before its mask is known."""

import cv2
import numpy as np
import pytest

from danmatte.video.analysis import FrameAnalyzer
from tests.service.scenes import SIZE, scene, with_person


def shift(picture: np.ndarray, by: int) -> np.ndarray:
    return np.roll(picture, by, axis=1)


def inner(flow: np.ndarray) -> np.ndarray:
    return flow[30:-30, 40:-40]


def test_the_first_frame_has_an_edge_guide_but_no_optical_flow() -> None:
    first = FrameAnalyzer(ahead=True).analyze(scene(1), 7)
    assert (first.pts_ms, first.cut) == (7, False)
    assert first.guide is not None
    assert first.back is None
    assert first.ahead is None


def test_optical_flow_is_computed_to_the_previous_frame_and_from_it() -> None:
    analyzer = FrameAnalyzer(ahead=True)
    analyzer.analyze(scene(1), 0)
    second = analyzer.analyze(shift(scene(1), 4), 40)
    assert second.back is not None
    assert second.ahead is not None
    assert np.median(inner(second.back)[..., 0]) == pytest.approx(-4, abs=0.5)
    assert np.median(inner(second.ahead)[..., 0]) == pytest.approx(4, abs=0.5)
    assert np.median(inner(second.back)[..., 1]) == pytest.approx(0, abs=0.3)


def test_a_live_analyzer_computes_only_the_flow_to_the_previous_frame() -> None:
    analyzer = FrameAnalyzer(ahead=False)
    analyzer.analyze(scene(1), 0)
    second = analyzer.analyze(scene(1), 40)
    assert second.back is not None
    assert second.ahead is None


def test_no_flow_is_computed_across_a_detected_or_given_cut() -> None:
    found, given = FrameAnalyzer(ahead=True), FrameAnalyzer(ahead=True)
    for analyzer in (found, given):
        analyzer.analyze(scene(1), 0)
    for frame in (found.analyze(scene(2, light=150), 40), given.analyze(scene(1), 40, cut=True)):
        assert frame.cut
        assert frame.back is None
        assert frame.ahead is None


def test_a_held_frame_is_not_analyzed_and_flows_skip_it() -> None:
    analyzer = FrameAnalyzer(ahead=True)
    analyzer.analyze(scene(1), 0)
    held = analyzer.analyze(shift(scene(1), 1), 40, held=True)
    assert (held.guide, held.back, held.ahead) == (None, None, None)
    after = analyzer.analyze(shift(scene(1), 6), 80)
    assert after.back is not None
    assert np.median(inner(after.back)[..., 0]) == pytest.approx(-6, abs=0.5)


def test_holding_the_first_frame_of_a_scene_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 ms: expected probabilities"):
        FrameAnalyzer(ahead=True).analyze(scene(1), 0, held=True)
    analyzer = FrameAnalyzer(ahead=True)
    analyzer.analyze(scene(1), 0)
    with pytest.raises(ValueError, match="40 ms: expected probabilities"):
        analyzer.analyze(scene(1), 40, cut=True, held=True)


def test_without_colours_the_edge_guide_uses_brightness() -> None:
    frame = FrameAnalyzer(ahead=False).analyze(with_person(100), 0)
    assert frame.colours.shape == (*SIZE, 3)
    assert np.array_equal(frame.colours[..., 0], with_person(100))
    colours = cv2.merge([with_person(100), scene(2), scene(3)])
    assert FrameAnalyzer(ahead=False).analyze(scene(1), 0, colours=colours).colours is colours
