"""The binary messages of the live stream."""

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from danmatte.errors import BodyError
from danmatte.messages import OFFER_HEADER_BYTES, Answer, FrameFlags, Offer, Picture, Spent, read_pts

FLOAT32 = some.floats(0, 1e6, width=32)
SIDES = some.integers(1, 65535)
PTS = some.floats(allow_nan=False, allow_infinity=False)


def test_an_offer_is_encoded_as_documented() -> None:
    message = Offer(1234.5, b"nv12", Picture.NV12, (320, 180)).pack()
    assert message == bytes.fromhex("444d4c31 01 01 0000 00000000004a9340 4001 b400") + b"nv12"
    assert OFFER_HEADER_BYTES == 20


def test_an_answer_is_encoded_as_documented() -> None:
    answer = Answer(
        40.0,
        b"mask",
        flags=FrameFlags.CUT,
        size=(320, 180),
        coverage=0.5,
        version=7,
        spent=Spent(1, 2, 3, 4),
        skipped=(20.0,),
    )
    header = b"DML1" + bytes([2, 1]) + struct.pack("<HdHHfQ4fII", 200, 40.0, 320, 180, 0.5, 7, 1, 2, 3, 4, 1, 4)
    assert len(header) == 56
    assert answer.pack() == header + struct.pack("<d", 20.0) + b"mask"


@given(PTS, some.binary(min_size=1))
def test_offers_of_encoded_pictures_are_decoded_unchanged(pts: float, body: bytes) -> None:
    offer = Offer(pts, body)
    assert Offer.unpack(offer.pack()) == offer
    assert read_pts(offer.pack()) == pts


@given(PTS, some.binary(min_size=1), some.sampled_from([Picture.NV12, Picture.RGB24]), SIDES, SIDES)
def test_offers_of_raw_pictures_are_decoded_unchanged(
    pts: float, body: bytes, picture: Picture, width: int, height: int
) -> None:
    offer = Offer(pts, body, picture, (width, height))
    assert Offer.unpack(offer.pack()) == offer


@given(
    some.builds(
        Answer,
        pts=PTS,
        body=some.binary(),
        status=some.sampled_from([200, 422, 503]),
        flags=some.sampled_from([FrameFlags.NONE, FrameFlags.CUT, FrameFlags.HELD, FrameFlags.CUT | FrameFlags.HELD]),
        size=some.tuples(SIDES, SIDES),
        coverage=some.floats(0, 1, width=32),
        version=some.integers(0, 2**53),
        spent=some.builds(Spent, FLOAT32, FLOAT32, FLOAT32, FLOAT32),
        skipped=some.lists(PTS, max_size=20).map(tuple),
    )
)
def test_answers_are_decoded_unchanged(answer: Answer) -> None:
    assert Answer.unpack(answer.pack()) == answer


@given(some.binary(max_size=100))
def test_bytes_without_the_magic_number_are_not_an_offer(message: bytes) -> None:
    assert read_pts(message) is None or message.startswith(b"DML1")


@given(some.binary(max_size=100))
def test_arbitrary_bytes_are_rejected_as_an_answer(message: bytes) -> None:
    with pytest.raises(BodyError, match="message"):
        Answer.unpack(message)


@given(some.binary(min_size=16, max_size=60))
def test_arbitrary_headers_give_an_offer_or_a_body_error(rest: bytes) -> None:
    try:
        offer = Offer.unpack(b"DML1" + rest)
    except BodyError as error:
        assert str(error).startswith("message: ")  # noqa: PT017 - one of two valid outcomes
    else:
        assert math.isfinite(offer.pts)


@pytest.mark.parametrize("cut", [0, 55, 56, 63, 67])
def test_a_truncated_answer_is_rejected(cut: int) -> None:
    message = Answer(1.0, b"mask", skipped=(0.0,)).pack()
    with pytest.raises(BodyError, match="expected"):
        Answer.unpack(message[:cut])
