"""Masks of one bit a pixel: exact, also at the borders, in both polarities."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte.codecs import Encoder
from danmatte.errors import InvalidParameterError
from danmatte.frame import Pixels
from tests.service import onebit, pictures

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(np.bool_, shape))


def pass_through(kind: str, alpha: Pixels) -> Pixels:
    """Encode a mask, and decode it with an independent reader."""
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
def test_every_mask_survives_a_round_trip_exactly(kind: str, mask: np.ndarray) -> None:
    alpha = mask * np.uint8(255)
    assert np.array_equal(pass_through(kind, alpha), alpha)


@pytest.mark.parametrize("kind", ["svg", "rle", "bits"])
def test_alpha_values_from_128_count_as_painted(kind: str) -> None:
    alpha = np.array([[0, 127, 128, 255]], np.uint8)
    assert pass_through(kind, alpha).tolist() == [[0, 0, 255, 255]]


@pytest.mark.parametrize("kind", ["svg", "rle", "bits", "png", "webp", "raw"])
def test_masks_are_exact_at_all_four_borders_in_both_polarities(kind: str) -> None:
    alpha = np.zeros((6, 9), np.uint8)
    alpha[0, 3] = alpha[-1, 5] = alpha[2, 0] = alpha[4, -1] = 255
    for painted in (alpha, 255 - alpha):
        assert np.array_equal(pass_through(kind, painted), painted)


def test_a_fully_painted_svg_mask_is_one_rectangle() -> None:
    alpha = np.full((180, 320), 255, np.uint8)
    assert b'd="M0 1800l3200 0 0 -1800 -3200 0z"' in Encoder.registered["svg"].encode(alpha)


def test_an_unpainted_svg_mask_is_an_empty_path() -> None:
    assert b'd=""' in Encoder.registered["svg"].encode(np.zeros((180, 320), np.uint8))


def test_rle_counts_match_pycocotools() -> None:
    """The expected counts are pycocotools' for a 3x3 picture, with the middle or the whole painted."""
    middle = np.zeros((3, 3), np.uint8)
    middle[1, 1] = 255
    assert json.loads(Encoder.registered["rle"].encode(middle)) == {"size": [3, 3], "counts": "414"}
    full = np.full((180, 320), 255, np.uint8)
    assert json.loads(Encoder.registered["rle"].encode(full))["counts"] == "0PXh1"


def test_rle_runs_are_column_major_and_start_with_unpainted_pixels() -> None:
    """`counts` are runs column by column from the left; the first is unpainted, and may be empty."""
    alpha = np.array([[255, 0], [255, 0]], np.uint8)
    text = json.loads(Encoder.registered["rle"].encode(alpha))["counts"]
    assert [ord(character) - 48 for character in text] == [0, 2, 2]


@settings(max_examples=50, deadline=None)
@given(MASKS)
def test_rows_of_a_bit_mask_are_padded_to_whole_bytes(mask: np.ndarray) -> None:
    rows = zlib.decompress(Encoder.registered["bits"].encode(mask * np.uint8(255)))
    height, width = mask.shape
    assert len(rows) == height * -(-width // 8)


def test_a_mask_too_long_for_webp_is_refused() -> None:
    long = np.zeros((1, 16_383), np.uint8)
    assert pictures.decoded(Encoder.registered["webp"].encode(long)).shape == long.shape
    with pytest.raises(InvalidParameterError, match="16383"):
        Encoder.registered["webp"].encode(np.zeros((16_384, 1), np.uint8))


@pytest.mark.parametrize("kind", Encoder.registered)
def test_encoders_do_not_change_the_mask(kind: str) -> None:
    alpha = pictures.noise(31, 45)[..., 0].copy()
    before = alpha.copy()
    alpha.flags.writeable = False
    first, second = (Encoder.registered[kind].encode(alpha) for _ in range(2))
    assert first == second
    assert np.array_equal(alpha, before)
