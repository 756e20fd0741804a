"""A mask's silhouette over time."""

import numpy as np
import pytest

from danmatte.video.silhouette import Carried, Visibility, clean, close_gaps, widen
from tests.service.scenes import SIZE, person


def rectangle(top: int, left: int, height: int, width: int) -> np.ndarray:
    alpha = np.zeros(SIZE, np.float32)
    alpha[top : top + height, left : left + width] = 1
    return alpha


def carry(mask: np.ndarray, level: int = 90, agreed: float = 1.0) -> Carried:
    """Return a neighbouring frame with this mask, a uniform grey picture, and its agreement with the current frame."""
    return Carried(mask, np.full((*SIZE, 3), level, np.uint8), np.full(SIZE, agreed, np.float32))


def test_specks_and_small_holes_are_removed() -> None:
    alpha = person(100).astype(np.float32)
    alpha[10:14, 10:14] = 1
    alpha[100:103, 110:113] = 0
    tidy, _ = clean(alpha)
    assert np.array_equal(tidy >= 0.5, person(100))


def test_a_larger_part_is_kept_and_the_tallest_height_is_measured() -> None:
    alpha = person(100).astype(np.float32)
    alpha[60:100, 200:220] = 1
    tidy, tallest = clean(alpha)
    assert tidy is alpha
    assert tallest == pytest.approx(130 / 180)


def test_an_empty_mask_has_a_height_of_0() -> None:
    _, tallest = clean(np.zeros(SIZE, np.float32))
    assert tallest == 0


def test_a_margin_around_people_has_a_soft_edge() -> None:
    wide = widen(person(100).astype(np.float32), 6)
    assert wide[100, 98] > 0.5 > wide[100, 90]
    assert 0 < wide[100, 94] < 1
    assert wide[100, 120] == 1


@pytest.mark.parametrize(("tallest", "coverage"), [(0.05, 0.002), (1.0, 0.9), (0.0, 0.0)])
def test_a_mask_of_tiny_or_frame_filling_people_is_hidden(tallest: float, coverage: float) -> None:
    assert Visibility().step(tallest, coverage, 0, cut=False) is False


def test_a_mask_of_ordinary_size_is_shown() -> None:
    assert Visibility().step(0.5, 0.3, 0, cut=False) is True


def test_the_size_of_specks_is_relative_to_the_picture() -> None:
    small, large = np.zeros((60, 80), np.float32), np.zeros((600, 800), np.float32)
    small[10:13, 10:13] = large[10:13, 10:13] = 1
    assert clean(small)[0].any()
    assert not clean(large)[0].any()


def test_a_mask_is_hidden_after_a_delay_or_immediately_at_a_cut() -> None:
    visibility = Visibility()
    visibility.step(0.5, 0.3, 0, cut=False)
    assert [visibility.step(1.0, 0.95, pts_ms, cut=False) for pts_ms in (100, 199, 200, 300)] == [
        True,
        True,
        False,
        False,
    ]
    assert visibility.step(0.5, 0.3, 400, cut=True) is True
    assert visibility.step(0.0, 0.0, 440, cut=True) is False


def test_a_mask_is_shown_immediately_when_a_person_enters() -> None:
    visibility = Visibility()
    assert [visibility.step(tall, 0.1, 40 * at, cut=False) for at, tall in enumerate((0.0, 0.05, 0.1))] == [
        False,
        False,
        True,
    ]


@pytest.mark.parametrize(("one", "other"), [((0.07, 0.1), (0.09, 0.1)), ((0.9, 0.7), (0.9, 0.79))])
def test_the_visibility_of_a_mask_near_a_limit_does_not_change(
    one: tuple[float, float], other: tuple[float, float]
) -> None:
    """A person whose height or area is near a limit doesn't make the mask flicker."""
    shown, hidden = Visibility(), Visibility()
    shown.step(0.5, 0.3, 0, cut=False)
    hidden.step(0.0, 0.0, 0, cut=False)
    for at in range(1, 40):
        here = (one, other)[at % 2]
        assert shown.step(*here, 40 * at, cut=False) is True
        assert hidden.step(*here, 40 * at, cut=False) is False


def test_the_size_of_a_hole_is_relative_to_the_person_around_it() -> None:
    whole, belly = carry(rectangle(40, 100, 130, 90)), rectangle(40, 100, 130, 90)
    belly[100:115, 140:155] = 0  # 2 % of this person
    assert clean(belly, whole)[0][107, 147] == 1
    thin = rectangle(40, 100, 130, 40)
    thin[100:115, 115:130] = 0  # 4 % of that one
    assert clean(thin, whole)[0] is thin


def test_a_hole_is_kept_if_the_neighbouring_frames_have_it_too() -> None:
    torn, whole = rectangle(40, 100, 130, 90), rectangle(40, 100, 130, 90)
    torn[100:115, 140:155] = 0
    assert clean(torn, carry(torn), carry(torn))[0] is torn
    assert clean(torn)[0] is torn
    assert clean(torn, carry(torn), carry(whole))[0][107, 147] == 1
    assert clean(torn, carry(whole, agreed=0.2), carry(torn))[0] is torn  # the pictures show that it opens


def test_a_gap_at_the_border_of_the_picture_is_not_filled() -> None:
    alpha = rectangle(0, 100, 130, 90)
    alpha[0:12, 140:152] = 0
    assert clean(alpha)[0] is alpha


def test_a_hole_in_a_small_person_is_not_compared_with_a_larger_person() -> None:
    alpha = np.maximum(rectangle(10, 5, 160, 160), rectangle(60, 250, 40, 40))
    alpha[75:83, 265:273] = 0  # 4 % of the small person, little of the large one
    assert clean(alpha)[0] is alpha


def test_a_limb_missing_in_one_frame_is_restored_from_both_neighbours() -> None:
    body, limb = rectangle(40, 100, 130, 40), rectangle(80, 140, 10, 30)
    whole = np.maximum(body, limb)
    assert np.array_equal(close_gaps(body, carry(whole), carry(whole)) >= 0.5, whole >= 0.5)
    assert close_gaps(body, carry(whole), carry(body)) is body  # the limb disappears
    assert close_gaps(body, carry(body), carry(whole)) is body  # the limb appears


def test_a_limb_is_not_restored_if_the_neighbouring_pictures_disagree() -> None:
    body, limb = rectangle(40, 100, 130, 40), rectangle(80, 140, 10, 30)
    whole = np.maximum(body, limb)
    assert close_gaps(body, carry(whole, 90), carry(whole, 130)) is body
    flash = carry(whole, agreed=0)  # only the current picture's lighting differs; its neighbours are alike
    assert np.array_equal(close_gaps(body, flash, flash) >= 0.5, whole >= 0.5)


def test_a_hole_of_any_size_that_lasts_one_frame_is_closed() -> None:
    whole, torn = rectangle(40, 100, 130, 90), rectangle(40, 100, 130, 90)
    torn[60:140, 120:160] = 0
    assert np.array_equal(close_gaps(torn, carry(whole), carry(whole)), whole)


def test_closing_gaps_does_not_move_edges_by_a_pixel() -> None:
    narrow, wide = rectangle(40, 100, 130, 40), rectangle(39, 99, 132, 42)
    assert close_gaps(narrow, carry(wide), carry(wide)) is narrow


def test_gaps_are_not_closed_without_both_neighbouring_frames() -> None:
    body, whole = rectangle(40, 100, 130, 40), rectangle(40, 100, 130, 80)
    assert close_gaps(body, carry(whole), None) is body
    assert close_gaps(body, None, carry(whole)) is body


def test_a_part_that_appears_in_one_frame_only_is_kept() -> None:
    """It is mostly a limb that the network misses in the neighbouring frames."""
    here, gone = np.maximum(rectangle(40, 100, 130, 40), rectangle(60, 220, 30, 20)), rectangle(40, 100, 130, 40)
    assert clean(here, carry(gone), carry(gone))[0] is here


def test_a_part_seen_in_the_previous_frame_may_be_smaller_than_a_new_one() -> None:
    body, leaving = rectangle(40, 100, 130, 40), rectangle(60, 300, 5, 4)
    both = np.maximum(body, leaving)
    assert not clean(both)[0][leaving > 0].any()
    assert clean(both, carry(both))[0] is both
    crumb = np.maximum(body, rectangle(60, 300, 3, 3))
    assert not clean(crumb, carry(crumb))[0][60:63, 300:303].any()


@pytest.mark.parametrize("distance", [0.9, 3.6, 9.0])
def test_a_margin_has_the_requested_width_and_round_corners(distance: float) -> None:
    wide = widen(rectangle(60, 100, 40, 60), distance) >= 0.5
    rows, columns = np.indices(SIZE)
    away = np.hypot(
        np.maximum(0, np.maximum(60 - rows, rows - 99)), np.maximum(0, np.maximum(100 - columns, columns - 159))
    )
    assert wide[away <= distance - 0.3].all()
    assert not wide[away >= distance + 0.3].any()


def test_an_empty_mask_gets_no_margin() -> None:
    empty = np.zeros(SIZE, np.float32)
    assert widen(empty, 5) is empty
