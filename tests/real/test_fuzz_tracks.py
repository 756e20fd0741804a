"""Thousands of hostile tracks: each is read or refused."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, Format, TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.reader import inflate
from danmatte.tracks.track import MAX_SEGMENT_ENTRIES
from tests.real.fuzzing import FIRST, INPUTS, note_part
from tests.real.mutations import mutate

pytestmark = pytest.mark.slow
SIZE = Size(36, 64)


def write_seed(path: Path, seed: int) -> bytes:
    """A track of some segments, of a person who walks and is hidden now and then."""
    chance, columns = np.random.default_rng(seed), np.arange(SIZE.width)
    with TrackWriter(path, TrackHeader(SIZE, "background", "toy", 3)) as track:
        for number in range(60):
            walked = (columns - 2 * number) % SIZE.width
            mask = np.tile(walked < chance.integers(0, 20), (SIZE.height, 1))
            track.add(Entry(5 + 400 * number, mask))
    return path.read_bytes()


def read_whole(path: Path) -> str:
    """Return the outcome for a track: `read` or `refused`."""
    try:
        with TrackReader(path) as track:
            for entry in track:
                assert entry.mask.shape == track.header.size
    except TrackError:
        return "refused"
    return "read"


def read_records(suffix: str, header: TrackHeader, data: bytes) -> str:
    """Return the outcome for an inflated segment: `read` or `refused`."""
    try:
        for count, entry in enumerate(Format.registered[suffix].read_entries(header, 5, data)):
            assert entry.mask.shape == header.size
            if count == MAX_SEGMENT_ENTRIES:
                return "too many"  # the reader stops there
    except TrackError:
        return "refused"
    return "read"


def inflate_segment(path: Path, suffix: str) -> bytes:
    """The records of a track's first segment."""
    with TrackReader(path) as track:
        place = track.segments[0]
    return inflate(path.read_bytes()[place.offset :][: place.length], Format.registered[suffix].window_bits)


def test_a_mutated_track_is_read_or_refused(tmp_path: Path) -> None:
    outcomes: Counter[str] = Counter()
    suffixes, path = list(Format.registered), tmp_path / "track"
    places = {suffix: [tmp_path / f"seed{number}{suffix}" for number in (1, 2)] for suffix in suffixes}
    files = [write_seed(place, number) for each in places.values() for number, place in enumerate(each)]
    records = {suffix: [inflate_segment(place, suffix) for place in each] for suffix, each in places.items()}
    header = TrackHeader(SIZE, "background", "toy", 3)
    for number in range(FIRST, FIRST + INPUTS):
        try:
            if number % 2:
                suffix = suffixes[number // 2 % len(suffixes)]
                outcomes[read_records(suffix, header, mutate(number, records[suffix]))] += 1
            else:  # checksums keep most of these from getting far
                path.write_bytes(mutate(number, files))
                outcomes[read_whole(path)] += 1
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
            pytest.fail(f"input {number}: {error!r}")
    assert set(outcomes) >= {"read", "refused"}
    note_part("tracks", outcomes)
