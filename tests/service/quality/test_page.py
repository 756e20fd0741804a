"""The page contains every verdict, and escapes names."""

from html.parser import HTMLParser

import numpy as np
import pytest
import simplejpeg
from msgspec import structs

from danmatte.frame import Pixels
from danmatte.quality.assessment import FailedAssessment, VideoQuality
from danmatte.quality.brightness import Bars
from danmatte.quality.page import WORST_SHOTS, list_worst, write_page
from danmatte.quality.people import Scale
from tests.service.quality.verdicts import make_shot, make_verdict


class Page(HTMLParser):
    """A parser that collects a page's tags, pictures and text."""

    VOID = frozenset({"meta", "img", "line", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.pictures: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag == "img":
            self.pictures.append(dict(attrs)["src"] or "")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def write(*found: VideoQuality | FailedAssessment) -> Page:
    """Return the page of these verdicts, with a different grey in each shot's picture."""
    return Page(write_page([(each, draw_thumbnails(each)) for each in found]))


def draw_thumbnails(found: VideoQuality | FailedAssessment) -> dict[int, Pixels]:
    if isinstance(found, FailedAssessment):
        return {}
    return {shot.worst_ms: np.full((36, 64, 3), 20 + 10 * number, np.uint8) for number, shot in enumerate(found.shots)}


def test_every_tag_is_closed_and_the_page_has_no_script() -> None:
    page = write(make_verdict(make_shot(0, 3000, 80), make_shot(3000, 9000, 30)), FailedAssessment("x.mp4", "no video"))
    assert not page.open
    assert "script" not in page.seen
    assert page.seen.count("section") == 2


def test_markup_in_names_and_reasons_is_escaped() -> None:
    hostile = "<img src=x onerror=alert(1)>&.mp4"
    page = write(make_verdict(make_shot(0, 3000, 80), video=hostile), FailedAssessment(hostile, "<b>why</b>"))
    assert page.text.count(hostile) >= 2
    assert "<b>why</b>" in page.text
    assert all(src.startswith("data:image/jpeg;base64,") for src in page.pictures)


def test_the_worst_shots_are_shown_in_order_from_the_worst() -> None:
    shots = [make_shot(1000 * at, 1000 * at + 1000, float((37 * at) % 100)) for at in range(WORST_SHOTS + 4)]
    found = make_verdict(*shots, make_shot(20_000, 21_000, None))
    worst = list_worst(found)
    assert len(worst) == WORST_SHOTS
    assert [shot.score for shot in worst] == sorted(shot.score or 0 for shot in shots)[:WORST_SHOTS]
    assert len(write(found).pictures) == WORST_SHOTS


def test_each_shot_is_shown_with_its_own_picture() -> None:
    from base64 import b64decode

    page = write(make_verdict(make_shot(0, 1000, 80), make_shot(1000, 2000, 30)))
    greys = [simplejpeg.decode_jpeg(b64decode(src.partition(",")[2])).mean() for src in page.pictures]
    assert greys == pytest.approx([30, 20], abs=2)


def test_a_completely_black_video_is_reported() -> None:
    page = write(make_verdict(make_shot(0, 3000, None)))
    assert not page.pictures
    assert "all is black" in page.text
    assert "100.0 % of the time" in page.text


@pytest.mark.parametrize(
    ("time", "share", "scale", "expected"),
    [
        (0.2, 0.01, "wide", "people20 % of the time: wide, 5 % of the picture"),
        (0.5, 0.002, "wide", "people50 % of the time: wide, 0.4 % of the picture"),
        (0.0, 0.001, "none", "peoplenobody"),
    ],
)
def test_people_are_described_by_their_share_of_the_time_and_picture(
    time: float, share: float, scale: Scale, expected: str
) -> None:
    verdict = make_verdict(make_shot(0, 3000, 80))
    text = write(structs.replace(verdict, people_time=time, people_share=share, shot_scale=scale)).text
    assert expected in text
    assert "of the picture" not in write(verdict).text


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (make_verdict(make_shot(0, 3000, 80), bars=Bars(0.12, 0.13, 0, 0)), "top 12 %, bottom 13 %"),
        (make_verdict(make_shot(0, 3000, 80)), "letterboxno"),
        (make_verdict(make_shot(0, 3000, 80), broken="ends at 3 s"), "ends at 3 s"),
        (make_verdict(make_shot(0, 3000, 80, frozen=0.25)), "frozen25.0 % of the time"),
        (make_verdict(make_shot(0, 3000, 80)), "sharpness81 of 100"),
        (make_verdict(make_shot(0, 3000, 80)), "Judged by quality/1; 75 frames seen, 3 judged."),
    ],
)
def test_the_page_states_each_finding(found: VideoQuality, expected: str) -> None:
    assert expected in write(found).text


def test_a_verdict_is_described_with_its_grade_faults_and_errors() -> None:
    found = make_verdict(make_shot(0, 3000, 47, frozen=0.25), broken="ends at 3 s")
    words = found.describe()
    assert words.startswith("film.mp4: C, 47 of 100 (camera, 1 shots; sharpness 81")
    assert "25.0 % frozen" in words
    assert "dropped" not in words
    assert words.endswith("film.mp4: broken: ends at 3 s")
    assert FailedAssessment("a.mp4", "why").describe() == "a.mp4: why"


def test_a_shot_without_a_picture_is_still_listed() -> None:
    page = Page(write_page([(make_verdict(make_shot(0, 3000, 41)), {})]))
    assert not page.pictures
    assert "0:00: 41, camera" in page.text
