"""Masks of one bit a pixel: exact, at the borders too, in both polarities."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte.codecs import Encoder
from danmatte.codecs.outline import chamfered, outlines
from danmatte.codecs.runs import run_lengths
from danmatte.frame import Pixels, Size
from tests.service import onebit, pictures

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(np.bool_, shape))


def through(kind: str, alpha: Pixels) -> Pixels:
    """Written, and read by somebody else."""
    readers = {
        "svg": onebit.from_svg,
        "rle": onebit.from_rle,
        "bits": lambda data: onebit.from_bits(data, *alpha.shape),
        "raw": lambda data: np.frombuffer(data, np.uint8).reshape(alpha.shape),
    }
    return readers.get(kind, pictures.decoded)(Encoder.registered[kind].encode(alpha))


@pytest.mark.parametrize("kind", ["svg", "rle", "bits"])
@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_every_mask_comes_back_bit_by_bit(kind: str, mask: np.ndarray) -> None:
    alpha = mask * np.uint8(255)
    assert np.array_equal(through(kind, alpha), alpha)


@pytest.mark.parametrize("kind", ["svg", "rle", "bits"])
def test_half_painted_is_painted(kind: str) -> None:
    alpha = np.array([[0, 127, 128, 255]], np.uint8)
    assert through(kind, alpha).tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("kind", ["svg", "rle", "bits", "png", "webp", "raw"])
def test_a_mask_reaches_all_four_borders_in_both_polarities(kind: str) -> None:
    alpha = np.zeros((6, 9), np.uint8)
    alpha[0, 3] = alpha[-1, 5] = alpha[2, 0] = alpha[4, -1] = 255
    for painted in (alpha, 255 - alpha):
        assert np.array_equal(through(kind, painted), painted)


def test_a_frame_without_a_person_is_the_full_rectangle_where_comments_may_be() -> None:
    alpha = np.full((180, 320), 255, np.uint8)
    assert b'd="M0 1800l3200 0 0 -1800 -3200 0z"' in Encoder.registered["svg"].encode(alpha)


def test_a_frame_of_nothing_is_an_empty_path() -> None:
    assert b'd=""' in Encoder.registered["svg"].encode(np.zeros((180, 320), np.uint8))


def test_stairs_become_slopes_and_the_border_stays_square() -> None:
    stairs = np.tri(4, dtype=np.bool_)
    (outline,) = outlines(stairs)
    assert chamfered(outline, Size(4, 4)).tolist() == [[0, 0], [2, 0], [2, 1], [7, 6], [8, 6], [8, 8], [0, 8]]


def test_pixels_that_touch_by_a_corner_are_filled_once_each() -> None:
    crossing = np.eye(2, dtype=np.bool_)
    assert sorted(len(outline) for outline in outlines(crossing)) == [4, 4]


def test_runs_go_down_the_columns_and_begin_unpainted() -> None:
    assert run_lengths(np.array([[0, 1, 1], [0, 0, 1]], np.bool_)).tolist() == [2, 1, 1, 2]
    assert run_lengths(np.array([[1, 0], [1, 0]], np.bool_)).tolist() == [0, 2, 2]


def test_the_counts_are_those_of_the_reference() -> None:
    """What pycocotools' `encode` gives for a 3x3 picture with its middle painted, and for a whole one."""
    middle = np.zeros((3, 3), np.uint8)
    middle[1, 1] = 255
    assert json.loads(Encoder.registered["rle"].encode(middle)) == {"size": [3, 3], "counts": "414"}
    full = np.full((180, 320), 255, np.uint8)
    assert json.loads(Encoder.registered["rle"].encode(full))["counts"] == "0PXh1"
