"""Outlines of masks: exact, starting at the top left, with the filled side on the right."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte.codecs.outline import Points, chamfer, trace_outlines
from danmatte.frame import Size

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(np.bool_, shape))


def measure_area(outline: Points) -> float:
    """Return the enclosed area by the shoelace formula: positive if the filled side is on the right."""
    after = np.roll(outline, -1, axis=0)
    return float((outline[:, 0] * after[:, 1] - outline[:, 1] * after[:, 0]).sum()) / 2


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_outlines_enclose_the_area_of_the_mask(mask: np.ndarray) -> None:
    assert sum(map(measure_area, trace_outlines(mask))) == mask.sum()


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_edges_of_an_outline_alternate_between_horizontal_and_vertical(mask: np.ndarray) -> None:
    for outline in trace_outlines(mask):
        edges = np.roll(outline, -1, axis=0) - outline
        horizontal = edges[:, 1] == 0
        assert ((edges == 0).sum(axis=1) == 1).all()
        assert (horizontal != np.roll(horizontal, 1)).all()


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_an_outline_begins_at_its_top_left_corner_and_is_traced_once(mask: np.ndarray) -> None:
    starts = []
    for outline in trace_outlines(mask):
        first = min(map(tuple, outline[:, ::-1].tolist()))
        assert tuple(outline[0, ::-1].tolist()) == first
        starts.append(first)
    assert starts == sorted(starts)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (5, 6)])
def test_a_full_mask_has_one_rectangular_outline_and_an_empty_mask_none(shape: tuple[int, int]) -> None:
    height, width = shape
    (outline,) = trace_outlines(np.ones(shape, np.bool_))
    assert outline.tolist() == [[0, 0], [width, 0], [width, height], [0, height]]
    assert list(trace_outlines(np.zeros(shape, np.bool_))) == []


def test_the_outline_of_a_hole_runs_in_the_opposite_direction() -> None:
    ring = np.ones((5, 5), np.bool_)
    ring[2, 2] = False
    assert [measure_area(outline) for outline in trace_outlines(ring)] == [25, -1]


def test_pixels_that_touch_at_a_corner_have_separate_outlines() -> None:
    crossing = np.eye(2, dtype=np.bool_)
    assert sorted(len(outline) for outline in trace_outlines(crossing)) == [4, 4]


def test_chamfering_smooths_stairs_and_keeps_corners_at_the_border() -> None:
    stairs = np.tri(4, dtype=np.bool_)
    (outline,) = trace_outlines(stairs)
    assert chamfer(outline, Size(4, 4)).tolist() == [[0, 0], [2, 0], [2, 1], [7, 6], [8, 6], [8, 8], [0, 8]]


def test_chamfering_a_single_pixel_gives_a_diamond_around_its_centre() -> None:
    lone = np.zeros((3, 3), np.bool_)
    lone[1, 1] = True
    (outline,) = trace_outlines(lone)
    assert chamfer(outline, Size(3, 3)).tolist() == [[3, 2], [4, 3], [3, 4], [2, 3]]


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_chamfered_outlines_have_no_duplicate_or_collinear_points(mask: np.ndarray) -> None:
    for outline in trace_outlines(mask):
        points = chamfer(outline, Size(*mask.shape))
        after, before = np.roll(points, -1, axis=0) - points, points - np.roll(points, 1, axis=0)
        assert (after != 0).any(axis=1).all()
        assert (after[:, 0] * before[:, 1] != after[:, 1] * before[:, 0]).all()
