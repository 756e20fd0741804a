"""Stored answers: written ones are read back, hostile ones rejected, and differences of a CPU measured."""

import base64
import json
import zlib

import numpy as np
import pytest

from danmatte.contract.framing import Framing
from danmatte.contract.stored_answers import ANSWERS_LIMIT_BYTES, StoredAnswer, StoredAnswers, parse_answers
from danmatte.errors import ManifestError

FRAMING = Framing((64, 64), "stretch", (0, 0, 0))


def run(picture: np.ndarray) -> np.ndarray:
    """Return the brightness of each 4×4 pixels as the probability."""
    return picture[0].reshape(16, 4, 16, 4, 3).mean((1, 3, 4)).astype(np.float32) / 255


def run_darker(picture: np.ndarray) -> np.ndarray:
    return run(picture) - np.float32(0.2)


@pytest.fixture
def answers() -> StoredAnswers:
    rng = np.random.default_rng(3)
    return StoredAnswers.make([rng.integers(0, 255, (48, 40, 3), np.uint8) for _ in range(3)], FRAMING, run)


def test_stored_answers_survive_a_round_trip(answers: StoredAnswers) -> None:
    found = parse_answers(answers.encode())
    assert found == answers
    assert found.answers[0].read_picture().shape == (48, 40, 3)
    assert found.answers[0].read_mask().shape == (16, 16)


def test_disagreement_is_zero_for_equal_masks_and_positive_for_others(answers: StoredAnswers) -> None:
    assert answers.measure_disagreement(FRAMING, run) == 0
    assert 10 < answers.measure_disagreement(FRAMING, run_darker) <= 100


def test_a_speck_in_a_picture_without_people_is_no_disagreement() -> None:
    dark = StoredAnswers.make([np.zeros((8, 8, 3), np.uint8)], FRAMING, run)
    speck = np.zeros((16, 16), np.float32)
    speck[3, 3] = 1
    assert dark.measure_disagreement(FRAMING, lambda _: speck) == 0


def test_masks_of_a_different_size_are_refused(answers: StoredAnswers) -> None:
    with pytest.raises(ValueError, match=r"expected masks of \(8, 8\), found \(16, 16\)"):
        answers.measure_disagreement(FRAMING, lambda picture: run(picture)[:8, :8])


def test_answers_over_the_size_limit_are_not_written() -> None:
    rng = np.random.default_rng(3)
    noise = [rng.integers(0, 255, (256, 256, 3), np.uint8) for _ in range(6)]
    with pytest.raises(ValueError, match=f"at most {ANSWERS_LIMIT_BYTES} bytes"):
        StoredAnswers.make(noise, FRAMING, run).encode()


def spoil(answers: StoredAnswers, **changes: object) -> bytes:
    document = json.loads(answers.encode())
    document["answers"][0] |= changes
    return json.dumps(document).encode()


BOMB = base64.b64encode(zlib.compress(bytes(2**26), 9)).decode()


@pytest.mark.parametrize(
    "changes",
    [
        {"size": [0, 40]},
        {"size": [4000, 40]},
        {"size": [48, 41]},
        {"picture": "AAAA"},
        {"picture": BOMB},
        {"mask": BOMB},
        {"places": [16, 17]},
        {"places": [10**9, 16]},
        {"picture": "not base64!"},
        {"more": 1},
    ],
    ids=lambda changes: str(changes)[:24],
)
def test_answers_with_malformed_or_oversized_fields_are_refused(
    answers: StoredAnswers, changes: dict[str, object]
) -> None:
    with pytest.raises(ManifestError, match=r"here/answers\.json"):
        parse_answers(spoil(answers, **changes), "here/answers.json")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"answers": []}', b"\xff"])
def test_a_file_that_is_no_document_of_answers_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestError):
        parse_answers(data)


def test_a_mask_with_odd_sides_survives_a_round_trip() -> None:
    mask = np.random.default_rng(1).random((7, 5)) > 0.5
    answer = StoredAnswer.of(np.zeros((9, 3, 3), np.uint8), mask)
    assert np.array_equal(answer.read_mask(), mask)


def test_an_encoded_file_is_below_the_size_limit(answers: StoredAnswers) -> None:
    assert len(answers.encode()) < ANSWERS_LIMIT_BYTES
