"""Outlines as turns and back, and invalid chain codes."""

from contextlib import suppress
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte.codecs.outline import trace_outlines
from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks.chain_code import encode_chains, fill_chains, orient_eastward

MASKS = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda shape: arrays(np.bool_, shape))


def encode(mask: np.ndarray) -> tuple[list[tuple[int, int]], bytes]:
    outlines = [orient_eastward(outline) for outline in trace_outlines(mask)]
    return [tuple(outline[0].tolist()) for outline in outlines], encode_chains(outlines)


@settings(max_examples=200, deadline=None)
@given(MASKS)
def test_encoded_masks_are_decoded_bit_for_bit(mask: np.ndarray) -> None:
    starts, data = encode(mask)
    assert np.array_equal(fill_chains(starts, iter(data), Size(*mask.shape)), mask)


@settings(max_examples=100, deadline=None)
@given(MASKS)
def test_oriented_outlines_begin_eastward_and_keep_their_corners(mask: np.ndarray) -> None:
    for outline in trace_outlines(mask):
        east = orient_eastward(outline)
        assert east[0].tolist() == outline[0].tolist()
        assert east[1, 1] == east[0, 1]
        assert east[1, 0] > east[0, 0]
        assert sorted(map(tuple, east.tolist())) == sorted(map(tuple, outline.tolist()))


def test_repeated_and_alternating_turns_have_different_codes() -> None:
    starts, data = encode(np.ones((1, 1), np.bool_))
    assert starts == [(0, 0)]
    # East from the corner; the first right turn is 1, the next two are 2; back at the start the outline ends.
    assert list(data) == [1 + 3 * 2 + 9 * 2]
    _, stairs = encode(np.tri(3, dtype=np.bool_))
    turns = [turn for byte in stairs for turn in (byte // 3**place % 3 for place in range(5))]
    assert turns.count(1) > turns.count(2)


def test_decoding_reads_only_the_bytes_of_its_outlines() -> None:
    starts, data = encode(np.ones((3, 4), np.bool_))
    following = iter(data + b"next")
    fill_chains(starts, following, Size(3, 4))
    assert bytes(islice(following, 4)) == b"next"


def test_a_mask_without_outlines_has_no_bytes() -> None:
    assert encode_chains([]) == b""
    assert not fill_chains([], iter(b""), Size(2, 3)).any()


@pytest.mark.parametrize(
    ("starts", "data", "expected"),
    [
        ([(0, 0)], b"", "truncated"),
        ([(0, 0)], b"\xf3", "below 243"),
        ([(0, 0)], b"\0", "corners within"),  # straight on over the border
        ([(2, 0)], b"\0", "corners within"),
    ],
)
def test_invalid_chain_codes_are_rejected(starts: list[tuple[int, int]], data: bytes, expected: str) -> None:
    with pytest.raises(TrackError, match=expected):
        fill_chains(starts, iter(data), Size(2, 2))


def test_outlines_that_cross_rows_too_often_are_rejected() -> None:
    outlines = [*trace_outlines(np.ones((2, 2), np.bool_))] * 9
    with pytest.raises(TrackError, match="cross its rows too often"):
        fill_chains([(0, 0)] * 9, iter(encode_chains(outlines)), Size(2, 2))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=4), st.binary(max_size=40))
def test_arbitrary_bytes_give_a_mask_or_a_track_error(starts: list[tuple[int, int]], data: bytes) -> None:
    with suppress(TrackError):
        assert fill_chains(starts, iter(data), Size(5, 5)).shape == (5, 5)
