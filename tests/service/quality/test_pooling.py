"""Pooling scores over time into one score and its grade."""

import pytest

from danmatte.quality.pooling import GRADES, MIN_SCORES, choose_grade, format_score, is_below, pool, take_off_stutter


@pytest.mark.parametrize("score", [29.9, 30.0, 59.96, 74.6, 75.0, 100.0])
def test_a_rounded_score_keeps_its_grade(score: float) -> None:
    assert choose_grade(float(format_score(score))) == choose_grade(score)


def test_pooling_a_constant_score_gives_that_score() -> None:
    assert pool([63.0] * 5, [1.0] * 5) == pytest.approx(63)


def test_one_bad_second_in_a_minute_counts_more_than_its_share() -> None:
    good, ruined = 90.0, 10.0
    lost = good - pool([good] * 59 + [ruined], [1.0] * 60)
    assert lost > 3 * (good - ruined) / 60


def test_the_worst_tenth_of_the_time_is_half_of_the_score() -> None:
    assert pool([90.0] * 9 + [10.0], [1.0] * 10) == pytest.approx((82 + 10) / 2)


@pytest.mark.parametrize("cut", [2, 7, 30])
def test_dividing_a_period_with_one_score_does_not_change_the_result(cut: int) -> None:
    whole = pool([80.0, 20.0], [57.0, 3.0])
    assert pool([80.0] + [20.0] * cut, [57.0] + [3.0 / cut] * cut) == pytest.approx(whole)


def test_the_order_in_time_does_not_matter() -> None:
    assert pool([10.0, 90.0, 50.0], [1.0, 5.0, 2.0]) == pytest.approx(pool([50.0, 10.0, 90.0], [2.0, 1.0, 5.0]))


def test_worse_or_longer_damage_lowers_the_score() -> None:
    verdicts = [pool([90.0, score], [60 - length, length]) for score, length in ((40.0, 1.0), (10.0, 1.0), (10.0, 9.0))]
    assert verdicts == sorted(verdicts, reverse=True)
    assert len(set(verdicts)) == 3


@pytest.mark.parametrize(("scores", "seconds"), [([], []), ([1.0], []), ([1.0], [0.0]), ([1.0, 2.0], [1.0, -1.0])])
def test_missing_or_negative_durations_are_rejected(scores: list[float], seconds: list[float]) -> None:
    with pytest.raises(ValueError, match="more than 0 seconds"):
        pool(scores, seconds)


def test_frozen_time_lowers_a_score_by_at_most_four_fifths() -> None:
    assert take_off_stutter(80, 0) == 80
    assert take_off_stutter(80, 1) == pytest.approx(16)
    assert take_off_stutter(80, 3) == pytest.approx(16)
    assert take_off_stutter(80, 0.5) == pytest.approx(48)


def test_a_score_on_the_border_of_two_grades_gets_the_better_one() -> None:
    assert [choose_grade(MIN_SCORES[grade]) for grade in GRADES] == list(GRADES)
    assert choose_grade(100) == "A"
    assert choose_grade(MIN_SCORES["A"] - 0.01) == "B"
    assert is_below("D", "C")
    assert not is_below("C", "C")
    assert not is_below("A", "C")
