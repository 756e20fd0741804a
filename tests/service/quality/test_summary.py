"""Summaries of observations."""

from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from danmatte.quality.brightness import NO_BARS, Bars
from danmatte.quality.kind import Look
from danmatte.quality.people import People
from danmatte.quality.signs import Signs
from danmatte.quality.summary import FilmFacts, summarize
from danmatte.quality.watch import Observations, Sample, Verdict

FILM = FilmFacts("film.mp4", "320x180", 0, "")
CAMERA, SLIDE = Look(0.3, 0.1), Look(0.95, 0.8)
STEP_MS = 40


def see(
    scores: list[float | None],
    *,
    shots: list[int] | None = None,
    look: Look = CAMERA,
    change: float = 4.0,
    bars: Bars = NO_BARS,
) -> Observations:
    """Return observations with a second of frames per score, the first one sampled; None is black."""
    seen = Observations()
    for second, score in enumerate(scores):
        shot = shots[second] if shots else 0
        for at in range(25):
            begins = not seen.times_ms or shot != seen.shots[-1]
            seen.times_ms.append(1000 * second + STEP_MS * at)
            seen.shots.append(shot)
            seen.changes.append(float("nan") if begins else change)
            seen.blocks.append(float("nan") if begins else 3 * change)
            seen.areas.append(float("nan") if begins else min(1.0, change / 10))
        verdict: Future[Verdict] = Future()
        verdict.set_result(Verdict(score, None if score is None else Signs(score, 90, 90, 90), look))
        seen.samples.append(Sample(1000 * second, shot, score is None, 80.0, bars, verdict))
    return seen


def summarize_film(seen: Observations, film: FilmFacts = FILM) -> Any:
    return summarize(seen, film, "quality/1", 0.5)


def test_each_shot_has_its_times_and_its_worst_frame() -> None:
    found = summarize_film(see([90, 70, 80, 20, 30], shots=[0, 0, 0, 1, 1]))
    assert [(shot.from_ms, shot.to_ms, shot.worst_ms) for shot in found.shots] == [(0, 3000, 1000), (3000, 4961, 3000)]
    assert [sample.score for sample in found.samples] == [90, 70, 80, 20, 30]
    assert found.score < np.mean([90, 70, 80, 20, 30])


def test_the_last_sample_counts_until_the_end_of_the_film() -> None:
    assert summarize_film(see([50, 50])).duration_ms == 1961
    assert summarize_film(see([50, 50]), FilmFacts("film.mp4", "320x180", 2500, "")).duration_ms == 2500
    held = summarize_film(see([90, 10]), FilmFacts("film.mp4", "320x180", 10_000, ""))
    assert held.score < summarize_film(see([90, 10])).score


def test_black_frames_count_only_in_the_share_of_black() -> None:
    found = summarize_film(see([None, 60, 60, 60], shots=[0, 1, 1, 1]))
    assert found.score == 60
    assert found.black_share == pytest.approx(0.25, abs=0.01)
    assert (found.shots[0].score, found.shots[0].grade, found.shots[0].parts) == (None, None, None)
    assert found.parts is not None
    assert found.parts.sharpness == 60


def test_motionless_slides_are_not_frozen() -> None:
    moving, standing = see([80] * 6), see([80] * 6)
    standing.changes[50:101] = moving.changes[50:101] = [*[0.0] * 50, 9.0]
    camera = summarize_film(moving)
    assert camera.frozen_share == pytest.approx(1 / 3, abs=0.03)
    assert camera.score < 60
    slides = see([80] * 6, look=SLIDE, change=0.01)
    slides.changes[30], slides.changes[120] = 9.0, 9.0
    found = summarize_film(slides)
    assert (found.kind, found.frozen_share, found.score) == ("slides", 0, 80)


def test_the_kind_of_a_film_is_that_of_most_of_its_time() -> None:
    one, other = see([80, 80, 80], shots=[0, 0, 0]), see([80], look=SLIDE, change=0.3)
    for place, sample in enumerate(other.samples):
        one.samples.append(sample.__class__(3000 + place, 1, *list(vars(sample).values())[2:]))
    one.times_ms += [3000 + time_ms for time_ms in other.times_ms]
    one.shots += [1] * 25
    one.changes += other.changes
    one.blocks += other.blocks
    one.areas += [0.01] * 25
    found = summarize_film(one)
    assert [shot.kind for shot in found.shots] == ["camera", "screen"]
    assert found.kind == "camera"


def test_people_of_a_shot_are_averaged_over_its_seconds() -> None:
    seen = see([80] * 4, shots=[0, 0, 1, 1])
    seen.people.update(
        {0: People(0.1, "wide"), 1: People(0.3, "medium"), 2: People(0.0, "none"), 3: People(0.0, "none")}
    )
    found = summarize_film(seen)
    assert [shot.people_share for shot in found.shots] == [0.2, 0.0]
    assert [shot.shot_scale for shot in found.shots] == ["medium", "none"]  # of equally frequent ones, the nearer
    assert found.people_share == pytest.approx(0.1)
    assert found.samples[1].shot_scale == "medium"
    assert [shot.people_time for shot in found.shots] == [1.0, 0.0]
    assert summarize_film(see([80])).people_share is None


def test_seconds_without_people_do_not_determine_the_shot_scale() -> None:
    seen = see([80] * 5)
    seen.people.update({second: People(0.0, "none") for second in range(5)})
    seen.people[3] = People(0.05, "wide")
    found = summarize_film(seen)
    assert (found.people_time, found.people_share, found.shot_scale) == (0.2, 0.01, "wide")


def test_black_frames_are_ignored_in_finding_letterbox_bars() -> None:
    assert summarize_film(see([None, 80, 80], bars=Bars(0.1, 0.1, 0, 0))).letterbox == Bars(0.1, 0.1, 0, 0)


def test_a_film_without_frames_is_rejected() -> None:
    with pytest.raises(ValueError, match="received none"):
        summarize_film(Observations())
