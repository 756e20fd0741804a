"""Agreement of masks, compared with cases computed by hand."""

import itertools

import numpy as np
import pytest

from danmatte_workbench.budget import Budget
from danmatte_workbench.errors import InputError
from danmatte_workbench.metrics import Metric, Score, score_mask
from danmatte_workbench.metrics.accuracy import ScoredFrames
from danmatte_workbench.metrics.agreement import measure_iou_drop, measure_mask_disagreement
from tests.workbench.facts import HOST

NUMBERS = itertools.count()


def box(top: int, left: int, bottom: int, right: int, side: int = 20) -> np.ndarray:
    """Return a filled rectangle, (side, side) bool."""
    mask = np.zeros((side, side), bool)
    mask[top:bottom, left:right] = True
    return mask


def truth(mask: np.ndarray, ignored: np.ndarray | None = None) -> np.ndarray:
    """Return a mask as stored in files."""
    values = np.where(mask, 255, 0).astype(np.uint8)
    return values if ignored is None else np.where(ignored, 128, values).astype(np.uint8)


def make_score(both: int, either: int, *, people: bool = True, painted: int = 0, name: str = "") -> Score:
    """Return a score with this intersection and union, of a picture of 100 pixels."""
    name = name or f"{next(NUMBERS)}"
    return Score(name, both, either, both, either, truth=max(both, 1) if people else 0, painted=painted, counted=100)


def measure(kind: str, *scores: Score) -> float:
    return Metric.all[kind].measure(scores, HOST).value


def test_intersection_over_union_of_two_boxes() -> None:
    found = score_mask("x", box(0, 0, 10, 10), truth(box(0, 5, 10, 15)))
    assert (found.both, found.either, found.truth, found.painted) == (50, 150, 100, 100)
    assert found.iou == pytest.approx(1 / 3)


def test_ignored_pixels_are_not_counted() -> None:
    ignored = box(0, 0, 20, 5)
    found = score_mask("x", box(0, 0, 10, 10), truth(box(0, 5, 10, 15), ignored))
    assert (found.both, found.either, found.painted, found.counted) == (50, 100, 50, 300)
    repainted = score_mask("x", box(3, 0, 20, 5) | box(0, 5, 10, 10), truth(box(0, 5, 10, 15), ignored))
    assert (repainted.both, repainted.either) == (50, 100)


def test_two_empty_masks_agree() -> None:
    found = score_mask("x", box(0, 0, 0, 0), truth(box(0, 0, 0, 0)))
    assert (found.iou, found.edge_iou) == (1, 1)


def test_boundary_iou_counts_only_the_band_along_outlines() -> None:
    """At this size the band has width 1: the ring of a 10×10 box has 36 pixels, and a hole adds another ring."""
    assert score_mask("x", box(5, 5, 15, 15), truth(box(5, 5, 15, 15))).edge_either == 36
    shifted = score_mask("x", box(5, 6, 15, 16), truth(box(5, 5, 15, 15)))
    # The two rings share rows 5 and 14 from column 6 to 14.
    assert (shifted.edge_both, shifted.edge_either) == (18, 54)
    assert shifted.edge_iou == pytest.approx(1 / 3)
    assert shifted.iou == pytest.approx(90 / 110)


def test_the_band_is_two_percent_of_the_diagonal() -> None:
    side = 200  # 0.02 · 283 rounds to 6
    full = score_mask("x", box(50, 50, 150, 150, side), truth(box(50, 50, 150, 150, side)))
    assert full.edge_either == 100**2 - 88**2


def test_the_border_of_the_picture_counts_as_outline() -> None:
    full = score_mask("x", box(0, 0, 20, 20), truth(box(0, 0, 20, 20)))
    assert full.edge_either == 4 * 19


def test_mean_iou_weights_small_and_large_people_equally() -> None:
    assert measure("mean_iou", make_score(90, 100), make_score(1, 2)) == pytest.approx(0.7)


def test_pooled_iou_is_computed_over_the_pixels_of_all_pictures() -> None:
    assert measure("pooled_iou", make_score(90, 100), make_score(1, 2)) == pytest.approx(91 / 102)


def test_pictures_without_people_count_only_for_false_positives() -> None:
    person, empty = make_score(1, 2), make_score(0, 7, people=False, painted=7)
    assert measure("mean_iou", person, empty) == 0.5
    assert measure("false_positives", person, empty) == pytest.approx(7.0)


def test_the_interval_of_a_drop_is_that_of_differences_by_picture() -> None:
    before, after = [make_score(90, 100), make_score(50, 100)], [make_score(88, 100), make_score(48, 100)]
    found = measure_iou_drop(before, after, "iou_drop", HOST)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))


def test_a_gain_is_a_negative_drop() -> None:
    assert measure_iou_drop([make_score(1, 2)], [make_score(3, 4)], "iou_drop", HOST).value == pytest.approx(-25)


def test_pictures_without_people_do_not_reduce_a_drop() -> None:
    empty = make_score(0, 0, people=False)
    assert measure_iou_drop(
        [make_score(8, 10), empty], [make_score(6, 10), empty], "iou_drop", HOST
    ).value == pytest.approx(20)


def test_equal_masks_have_no_disagreement() -> None:
    assert measure_mask_disagreement([make_score(5, 5), make_score(9, 9)], "iou_drop", HOST).high == 0


def test_frames_without_people_cannot_be_compared() -> None:
    empty = [make_score(0, 0, people=False)]
    with pytest.raises(InputError, match="no people in these frames"):
        measure_mask_disagreement(empty, "iou_drop", HOST)
    with pytest.raises(InputError, match="no picture has people"):
        measure_iou_drop(empty, empty, "iou_drop", HOST)


def test_pictures_of_one_scene_count_as_one_for_the_interval() -> None:
    """Twelve frames of one clip are hardly independent, so they must not narrow the interval."""
    before = [make_score(100, 100, name=f"{number}") for number in range(48)]
    after = [make_score(90 + (number // 12) * 2, 100, name=f"{number}") for number in range(48)]
    alone = measure_iou_drop(before, after, "iou_drop", HOST)
    scenes = {f"{number}": f"{number // 12}" for number in range(48)}
    together = measure_iou_drop(before, after, "iou_drop", HOST, scenes=scenes)
    assert together.value == pytest.approx(alone.value) == pytest.approx(7)
    assert together.samples == alone.samples == 48
    assert together.high - together.low > 2 * (alone.high - alone.low)
    for found in (measure_mask_disagreement(after, "iou_drop", HOST, scenes=places) for places in ({}, scenes)):
        assert found.value == pytest.approx(7)


def test_a_kind_with_one_picture_is_never_certainly_above_a_limit() -> None:
    """With one picture per kind, an unlucky one of a hundred would reject every candidate."""
    names = [f"{number}" for number in range(40)]
    own = [make_score(90, 100, name=name) for name in names]
    scores = [make_score(88 if name == "7" else 90, 100, name=name) for name in names]
    found = ScoredFrames(scores, own, {name: f"person {name}" for name in names}).measure(HOST)
    assert found.worst is not None
    assert (found.worst.kind, found.worst.loss.value) == ("person 7", pytest.approx(2))
    assert (found.worst.loss.low, found.worst.loss.high) == (-100, 100)
    kinds = {item.kind: item.loss for item in found.kinds}
    assert Budget(0.5).judge(found.measurements, kinds).accepted
    # Three pictures of a kind with the same loss are significant.
    scores = [make_score(88 if name in ("7", "8", "9") else 90, 100, name=name) for name in names]
    found = ScoredFrames(scores, own, {name: "odd" if name in "789" else "others" for name in names}).measure(HOST)
    kinds = {item.kind: item.loss for item in found.kinds}
    assert not Budget(0.5).judge(found.measurements, kinds).accepted


def test_kinds_of_scene_with_people_are_measured_and_the_worst_is_found() -> None:
    names = [f"{number}" for number in range(6)]
    own = [make_score(90, 100, people=number != 5, name=name) for number, name in enumerate(names)]
    scores = [
        make_score(90 - 2 * (number // 2), 100, people=number != 5, name=name) for number, name in enumerate(names)
    ]
    kinds = {"0": "day", "1": "day", "2": "night", "3": "night", "5": "empty"}
    found = ScoredFrames(scores, own, kinds).measure(HOST)
    assert [(item.kind, item.loss.samples) for item in found.kinds] == [("day", 2), ("night", 2)]
    assert found.worst is not None
    assert (found.worst.kind, found.worst.loss.value) == ("night", pytest.approx(2))
    assert {"iou_drop", "mean_iou", "iou_over_15"} <= found.metrics
    assert "iou_under_2" not in found.metrics
    assert ScoredFrames(scores, own, {}).measure(HOST).kinds == ()


def test_without_labels_differences_near_the_outline_count_for_a_quarter() -> None:
    """In a picture of 150 pixels, a hundredth of the diagonal is two pixels."""
    side, person = 150, box(50, 50, 100, 100, 150)
    rim, hole = person | box(49, 50, 50, 100, side), person & ~box(70, 70, 80, 75, side)
    near, far = (score_mask("x", mask, truth(person)) for mask in (rim, hole))
    assert (near.near, near.either - near.both) == (50, 50)
    assert (far.near, far.either - far.both) == (0, 50)
    lost = [measure_mask_disagreement([score], "iou_drop", HOST).value for score in (near, far)]
    assert lost == pytest.approx([100 * 12.5 / 2550, 100 * 50 / 2500])
