"""The timeline: the position, height and colour of each sample's bar."""

import itertools
import xml.etree.ElementTree as ET

import pytest

from danmatte.quality.pooling import GRADES
from danmatte.quality.timeline import draw_timeline, format_time
from tests.service.quality.verdicts import make_shot, make_verdict

SVG = "{http://www.w3.org/2000/svg}"
WIDTH, HEIGHT = 960, 190


def read_bars(drawn: str) -> list[dict[str, float | str]]:
    """Return the bars of a timeline: left edge, width, height and colour."""
    root = ET.fromstring(drawn)
    found = []
    for bar in root.iter(f"{SVG}rect"):
        if bar.find(f"{SVG}title") is None and bar.get("width") != "100%":
            numbers = {name: float(bar.get(name, "0")) for name in ("x", "y", "width", "height")}
            found.append({**numbers, "fill": bar.get("fill", "")})
    return found


def test_bars_follow_each_other_from_the_left_to_the_right() -> None:
    bars = read_bars(draw_timeline(make_verdict(make_shot(0, 4000, 90), make_shot(4000, 10_000, 20))))
    assert len(bars) == 10
    assert all(bar["width"] == pytest.approx(bars[0]["width"], abs=0.2) for bar in bars)
    for before, after in itertools.pairwise(bars):
        assert after["x"] == pytest.approx(before["x"] + before["width"], abs=0.2)
    assert bars[-1]["x"] + bars[-1]["width"] == pytest.approx(WIDTH - 8, abs=0.5)


def test_a_higher_score_gives_a_higher_bar_on_the_same_baseline() -> None:
    bars = read_bars(draw_timeline(make_verdict(*(make_shot(1000 * at, 1000 * at + 1000, 20 * at) for at in range(5)))))
    heights = [bar["height"] for bar in bars]
    assert heights == sorted(heights)
    assert len({round(float(bar["y"]) + float(bar["height"]), 1) for bar in bars}) == 1
    assert all(0 <= float(bar["y"]) <= HEIGHT for bar in bars)


def test_every_grade_and_black_have_different_colours() -> None:
    scores = [90.0, 65.0, 50.0, 35.0, 10.0, None]
    shots = [make_shot(1000 * at, 1000 * at + 1000, score) for at, score in enumerate(scores)]
    assert len({bar["fill"] for bar in read_bars(draw_timeline(make_verdict(*shots)))}) == len(scores)


def test_the_timeline_of_a_video_that_starts_late_begins_at_the_left() -> None:
    bars = read_bars(draw_timeline(make_verdict(make_shot(8000, 12_000, 70))))
    assert bars[0]["x"] == pytest.approx(34)


def test_frozen_and_dropped_shares_are_marked() -> None:
    drawn = draw_timeline(make_verdict(make_shot(0, 5000, 80), make_shot(5000, 10_000, 30, frozen=0.4, dropped=0.02)))
    root = ET.fromstring(drawn)
    titles = [title.text for bar in root.iter(f"{SVG}rect") if (title := bar.find(f"{SVG}title")) is not None]
    assert titles == ["frozen 40.0 %", "dropped 2.0 %"]
    assert "frozen" not in draw_timeline(make_verdict(make_shot(0, 5000, 80)))


def test_the_title_states_the_verdict_and_escapes_markup() -> None:
    drawn = draw_timeline(make_verdict(make_shot(0, 2000, 47), video="</title><script>a & b.mp4"))
    title = ET.fromstring(drawn).find(f"{SVG}title")
    assert title is not None
    assert title.text == "</title><script>a & b.mp4: C, 47 of 100"
    assert "<script" not in drawn


def test_each_grade_has_a_labelled_line() -> None:
    root = ET.fromstring(draw_timeline(make_verdict(make_shot(0, 2000, 47))))
    assert [text.text for text in root.iter(f"{SVG}text")][: len(GRADES)] == list(GRADES)


@pytest.mark.parametrize("length_ms", [400, 3000, 90_000, 4_000_000, 40_000_000])
def test_the_number_of_time_labels_is_readable_for_any_length(length_ms: int) -> None:
    root = ET.fromstring(draw_timeline(make_verdict(make_shot(0, length_ms, 60))))
    times = list(root.iter(f"{SVG}text"))[len(GRADES) :]
    assert 1 <= len(times) <= 30
    assert len({text.text for text in times}) == len(times)


@pytest.mark.parametrize(
    ("time_ms", "words"), [(0, "0:00"), (1500, "0:01.5"), (61_000, "1:01"), (3_600_000, "60:00"), (999, "0:00.9")]
)
def test_times_are_printed_in_minutes_and_seconds(time_ms: int, words: str) -> None:
    assert format_time(time_ms) == words
