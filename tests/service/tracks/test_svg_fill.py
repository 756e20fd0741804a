"""SVG paths are filled as browsers fill them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte.codecs.outline import trace_outlines
from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks.svg_fill import fill_paths

SIZE = Size(6, 8)
MASKS = st.tuples(st.integers(1, 10), st.integers(1, 10)).flatmap(lambda shape: arrays(np.bool_, shape))


def fill(*paths: str, size: Size = SIZE) -> np.ndarray:
    return fill_paths(paths, size)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_outlines_in_tenths_of_a_pixel_fill_the_traced_mask(mask: np.ndarray) -> None:
    height = len(mask)
    path = ""
    for outline in trace_outlines(mask):
        (x, y), *rest = (10 * outline * (1, -1) + (0, 10 * height)).tolist()
        path += f"M{x} {y}L" + " ".join(f"{x} {y}" for x, y in rest) + "z"
    assert np.array_equal(fill_paths([path] if path else [], Size(*mask.shape)), mask)


def test_y_coordinates_count_upwards_from_the_bottom() -> None:
    mask = fill("M0 0 L80 0 L80 20 L0 20 Z")
    assert mask[4:].all()
    assert not mask[:4].any()


@pytest.mark.parametrize(
    "path",
    ["M20 20 L60 20 L60 40 L20 40 Z", "M20,20 60,20 60,40 20,40z", "m20 20 40 0 0 20-40 0z", "M20 20l40 0 0 20 -40 0"],
)
def test_equivalent_spellings_of_a_path_fill_the_same_pixels(path: str) -> None:
    mask = fill(path)
    assert mask[2:4, 2:6].all()
    assert mask.sum() == 8


def test_a_relative_move_starts_from_the_beginning_of_the_previous_outline() -> None:
    mask = fill("M0 60l20 0 0 -20 -20 0zm40 0l20 0 0 -20 -20 0z")
    assert mask[:2, :2].all()
    assert mask[:2, 4:6].all()
    assert mask.sum() == 8


def test_by_the_nonzero_rule_only_outlines_in_opposite_direction_are_holes() -> None:
    outer, hole = "M0 0l80 0 0 60 -80 0z", "M20 20l0 20 20 0 0 -20z"
    same = "M20 20l20 0 0 20 -20 0z"
    assert fill(outer + hole).sum() == 48 - 4
    assert fill(outer + same).sum() == 48


def test_two_paths_are_filled_together() -> None:
    assert fill("M0 0l10 0 0 10 -10 0z", "M70 50l10 0 0 10 -10 0z").sum() == 2


def test_a_circle_of_curves_is_filled_accurately() -> None:
    radius, k = 40, 40 * 0.5523
    circle = (
        f"M80 40C80 {40 + k} {40 + k} 80 40 80C{40 - k} 80 0 {40 + k} 0 40"
        f"C0 {40 - k} {40 - k} 0 40 0C{40 + k} 0 80 {40 - k} 80 40z"
    )
    mask = fill(circle, size=Size(8, 8))
    rows, columns = np.indices((8, 8))
    distance = np.hypot(10 * columns + 5 - 40, 10 * rows + 5 - 40)
    assert mask[distance < radius - 2].all()
    assert not mask[distance > radius + 2].any()
    relative = fill(
        f"M80 40c0 {k} {k - 40} 40 -40 40c{-k} 0 -40 {k - 40} -40 -40c0 {-k} {40 - k} -40 40 -40"
        f"c{k} 0 40 {40 - k} 40 40z",
        size=Size(8, 8),
    )
    assert np.array_equal(relative, mask)


def test_the_first_control_point_of_a_curve_shapes_its_beginning() -> None:
    mask = fill("M0 0C0 60 0 0 80 0z")  # rises steeply, then falls slowly
    assert mask[:, 1].sum() == 2
    assert not mask[:, 5:].any()


def test_paths_are_clipped_to_the_picture() -> None:
    assert fill("M-500 -500L500 -500L500 500L-500 500z").all()
    assert not fill("M1000 0l10 0 0 10 -10 0z").any()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("M1 2 3", "expected a multiple of 2 numbers"),
        ("M", "expected a multiple of 2 numbers"),
        ("M0 0C1 2 3 4", "expected a multiple of 6 numbers"),
        ("M0 0z5", "expected a multiple of 0 numbers"),
        ("M0 0Q1 2 3 4", "expected M m L l C c Z z"),
        ("hello", "expected M m L l C c Z z"),
        ("M1e 2", "expected a multiple of 2 numbers"),
        ("M0 0L.. 1", "expected numbers, received"),
        ("M0 0L99999999 0", "expected numbers within"),
    ],
)
def test_an_invalid_path_is_rejected(path: str, expected: str) -> None:
    with pytest.raises(TrackError, match=expected):
        fill(path)


def test_a_path_that_crosses_rows_too_often_is_rejected() -> None:
    with pytest.raises(TrackError, match="cross its rows too often"):
        fill("M0 0" + "L10 60L10 0" * 200)
