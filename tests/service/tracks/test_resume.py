"""Segments that are stored for the next writer."""

from pathlib import Path

import pytest

from danmatte.errors import TrackError
from danmatte.tracks.resume import SegmentStore, StoredSegment
from danmatte.tracks.tally import Tally

LABEL = b"a job"
FIRST = StoredSegment(0, 9, 5, Tally(masks=3, held=1, cuts=1, inferred=4, looked_closer=2, last_ms=9))
SECOND = StoredSegment(10, 19, 10, Tally(masks=7, last_ms=19))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a store with two segments."""
    store = SegmentStore(tmp_path / "part", LABEL)
    store.append(FIRST, b"first")
    store.append(SECOND, b"second one")
    store.close()
    return store.path


def test_stored_segments_are_found_with_their_times_and_tallies(path: Path) -> None:
    store = SegmentStore(path, LABEL)
    assert store.segments == [FIRST, SECOND]
    store.append(StoredSegment(20, 29, 5), b"third")
    assert list(store.read_segments()) == [b"first", b"second one", b"third"]
    store.close()


def test_a_different_label_discards_the_stored_segments(path: Path) -> None:
    store = SegmentStore(path, b"another job")
    assert store.segments == []
    store.close()
    again = SegmentStore(path, LABEL)
    assert again.segments == []
    again.close()


@pytest.mark.parametrize("cut", range(1, 34, 3))
def test_a_truncated_store_loses_only_its_last_segment(path: Path, cut: int) -> None:
    whole = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-cut])
    store = SegmentStore(path, LABEL)
    assert path.stat().st_size == whole - 72 - len(b"second one")
    assert store.segments == [FIRST]
    store.append(StoredSegment(10, 19, 5), b"again")
    assert list(store.read_segments()) == [b"first", b"again"]
    store.close()


def test_a_corrupt_segment_and_all_later_ones_are_discarded(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"first")] ^= 1
    path.write_bytes(data)
    store = SegmentStore(path, LABEL)
    assert store.segments == []
    store.close()


def test_a_store_can_be_open_only_once(path: Path) -> None:
    store = SegmentStore(path, LABEL)
    with pytest.raises(TrackError, match="another one has it open"):
        SegmentStore(path, LABEL)
    store.close()
    SegmentStore(path, LABEL).remove()
    assert not path.exists()


def test_a_path_that_cannot_be_written_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="expected a file that can be written"):
        SegmentStore(tmp_path / "none" / "part", LABEL)
