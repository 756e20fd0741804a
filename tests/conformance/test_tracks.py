"""Requirements of every track format; a new one is one line in `FORMATS`."""

import zlib
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, Format, TrackHeader, TrackReader, TrackWriter, reader, writer
from danmatte.tracks.track import MAX_SEGMENT_BYTES

FORMATS = [".mattes", ".vtt", ".webmask"]
SIZE = Size(9, 14)
MASKS = st.lists(arrays(np.bool_, SIZE, fill=st.nothing()), min_size=1, max_size=12)
TIMES = st.lists(st.integers(1, 6000), min_size=12, max_size=12)
HERE = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def write_track(path: Path, entries: list[Entry], size: Size = SIZE) -> Path:
    with TrackWriter(path, TrackHeader(size, "background", "toy", 3)) as track:
        for entry in entries:
            track.add(entry)
    return path


def grow_person(count: int, step_ms: int = 700) -> list[Entry]:
    """A person who grows."""
    columns = np.arange(SIZE.width)
    return [Entry(5 + step_ms * number, np.tile(columns < number % 15, (9, 1))) for number in range(count)]


@cache
def sample(suffix: str) -> bytes:
    """A track of three segments."""
    with TemporaryDirectory() as folder:
        return write_track(Path(folder) / f"track{suffix}", grow_person(30)).read_bytes()


def read(path: Path) -> list[Entry]:
    with TrackReader(path) as track:
        return list(track)


def are_same(entries: list[Entry], others: list[Entry]) -> bool:
    return [entry.pts_ms for entry in entries] == [other.pts_ms for other in others] and all(
        np.array_equal(entry.mask, other.mask) for entry, other in zip(entries, others, strict=True)
    )


def test_every_format_is_in_this_suite() -> None:
    assert set(Format.registered) == set(FORMATS)
    assert len({known.magic for known in Format.registered.values()}) == len(FORMATS)
    assert next(iter(Format.registered)) == ".mattes"  # the format of tracks whose names don't show it


@pytest.mark.parametrize("suffix", FORMATS)
@HERE
@given(masks=MASKS, later=TIMES)
def test_masks_and_times_survive_writing_and_reading(
    suffix: str, masks: list[np.ndarray], later: list[int], tmp_path: Path
) -> None:
    times = np.cumsum(later).tolist()
    entries = [Entry(pts_ms, mask) for pts_ms, mask in zip(times, masks, strict=False)]
    assert are_same(read(write_track(tmp_path / f"track{suffix}", entries)), entries)


@pytest.mark.parametrize("suffix", FORMATS)
def test_segments_last_about_ten_seconds_and_can_be_read_alone(suffix: str, tmp_path: Path) -> None:
    entries = grow_person(60)
    with TrackReader(write_track(tmp_path / f"track{suffix}", entries)) as track:
        assert [segment.start_ms for segment in track.segments] == [5, 10505, 21005, 31505]
        assert are_same(list(track.read_segment(2)), entries[30:45])
        assert track.header.size == SIZE
        assert track.header.polarity == "background"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_truncated_track_is_refused_wherever_it_is_cut(suffix: str, tmp_path: Path) -> None:
    path, data, accepted = tmp_path / f"track{suffix}", sample(suffix), []
    for length in {*range(0, len(data), 7), *range(len(data) - 20, len(data))}:
        path.write_bytes(data[:length])
        try:
            read(path)
        except TrackError:
            continue
        accepted.append(length)
    assert accepted == []


@pytest.mark.parametrize("suffix", FORMATS)
@settings(HERE, max_examples=150)
@given(places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_are_refused_or_harmless(suffix: str, places: list[tuple[int, int]], tmp_path: Path) -> None:
    path = tmp_path / f"track{suffix}"
    data = bytearray(sample(suffix))
    for place, value in places:
        data[place % len(data)] = value
    path.write_bytes(data)
    read_or_refuse(path)


@pytest.mark.parametrize("suffix", FORMATS)
@settings(HERE, max_examples=150)
@given(
    places=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=4), cut=st.booleans()
)
def test_changed_records_are_refused_or_harmless(
    suffix: str, places: list[tuple[int, int]], cut: bool, tmp_path: Path
) -> None:
    path, format_ = tmp_path / f"track{suffix}", Format.registered[suffix]
    header = TrackHeader(SIZE, "background")
    recorder = format_.make_recorder(header)
    records = bytearray(b"".join(recorder.record(entry, entry.pts_ms + 40) for entry in grow_person(12)))
    for place, value in places:
        records[place % len(records)] = value
    path.write_bytes(rebuild(format_, header, bytes(records[: -1 if cut else None])))
    read_or_refuse(path)


def rebuild(format_: Format, header: TrackHeader, records: bytes, start_ms: int = 5) -> bytes:
    """A track of one segment with these records."""
    segment = records
    if format_.window_bits is not None:
        deflater = zlib.compressobj(9, zlib.DEFLATED, format_.window_bits)
        segment = deflater.compress(records) + deflater.flush()
    return format_.format_head(header, [(start_ms, len(segment))]) + segment


def read_or_refuse(path: Path) -> None:
    """Read as far as possible; assert that times rise, whatever the bytes."""
    times = [-1]
    try:
        with TrackReader(path) as track:
            for entry in track:
                assert entry.mask.shape == track.header.size
                times.append(entry.pts_ms)
    except TrackError:
        pass
    assert times == sorted(set(times))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_segment_that_inflates_beyond_the_limit_is_refused(suffix: str, tmp_path: Path) -> None:
    path, format_ = tmp_path / f"track{suffix}", Format.registered[suffix]
    path.write_bytes(rebuild(format_, TrackHeader(SIZE, "background"), bytes(MAX_SEGMENT_BYTES + 1)))
    with pytest.raises(TrackError, match="inflated"):
        read(path)


@pytest.mark.parametrize("suffix", FORMATS)
def test_too_many_masks_in_a_segment_are_refused(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (reader, writer):
        monkeypatch.setattr(room, "MAX_SEGMENT_ENTRIES", 20)
    path, format_ = tmp_path / f"track{suffix}", Format.registered[suffix]
    header, mask = TrackHeader(SIZE, "background"), np.zeros(SIZE, np.bool_)
    recorder = format_.make_recorder(header)
    records = [recorder.record(Entry(5 + number, mask), 6 + number) for number in range(21)]
    path.write_bytes(rebuild(format_, header, b"".join(records)))
    with pytest.raises(TrackError, match="at most 20 masks"):
        read(path)
    assert len(read(write_track(path, [Entry(5 + number, mask) for number in range(21)]))) == 21


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("times", [(5, 5), (5, 4)])
def test_times_that_do_not_rise_are_refused(suffix: str, times: tuple[int, int], tmp_path: Path) -> None:
    path, mask = tmp_path / f"track{suffix}", np.zeros(SIZE, np.bool_)
    with pytest.raises(TrackError, match="pts: expected more than 5 ms"):
        write_track(path, [Entry(pts_ms, mask) for pts_ms in times])
    assert not path.exists()


@pytest.mark.parametrize("suffix", FORMATS)
def test_segments_out_of_order_are_refused(suffix: str, tmp_path: Path) -> None:
    path, format_ = tmp_path / f"track{suffix}", Format.registered[suffix]
    header = TrackHeader(SIZE, "background")
    record = format_.make_recorder(header).record(Entry(5, np.zeros(SIZE, np.bool_)), 45)
    segment = rebuild(format_, header, record)[len(format_.format_head(header, [(5, 1)])) :]
    for starts in ([5, 5], [5, 4]):
        places = [(start, len(segment)) for start in starts]
        path.write_bytes(format_.format_head(header, places) + 2 * segment)
        with pytest.raises(TrackError, match="index: expected a start after 5 ms"):
            read(path)


@pytest.mark.parametrize("data", [b"", b"MAS", b"\0" * 200, b"PK\x03\x04" * 40, b"MASK" * 40, b"MATT" * 40])
def test_a_file_that_is_not_a_track_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "no.webmask").write_bytes(data)
    with pytest.raises(TrackError, match=r"no\.webmask"):
        read(tmp_path / "no.webmask")
