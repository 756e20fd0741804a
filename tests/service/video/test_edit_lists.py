"""How early Firefox starts tracks whose edit lists begin with an empty edit."""

import io
import struct
from pathlib import Path

import pytest

from danmatte.video.edit_lists import measure_early
from danmatte.video.reader import Video
from tests.service.tracks.videos import walking, write


def box(kind: bytes, *contents: bytes) -> bytes:
    inside = b"".join(contents)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def make_track(number: int, scale: int, edits: list[tuple[int, int]], *, long: bool = False) -> bytes:
    """Return a track with this edit list; `long` uses the boxes with 64-bit numbers."""
    version, fields = (b"\1\0\0\0", ">Qq") if long else (b"\0\0\0\0", ">Ii")
    dates = bytes(16 if long else 8)
    listed = b"".join(struct.pack(fields, *edit) + b"\0\1\0\0" for edit in edits)
    return box(
        b"trak",
        box(b"tkhd", version, dates, struct.pack(">I", number), bytes(60)),
        box(b"edts", box(b"elst", version, struct.pack(">I", len(edits)), listed)),
        box(b"mdia", box(b"mdhd", version, dates, struct.pack(">I", scale), bytes(8))),
    )


def make_film(*tracks: bytes, large: bool = False) -> io.BytesIO:
    index = box(b"moov", box(b"mvhd", bytes(12), struct.pack(">I", 1000), bytes(80)), *tracks)
    media = struct.pack(">I4sQ", 1, b"mdat", 16 + 5) + b"media" if large else box(b"mdat", b"media")
    return io.BytesIO(box(b"ftyp", b"isom") + media + index)


@pytest.mark.parametrize("long", [False, True])
def test_an_empty_edit_is_measured_in_the_timescale_of_the_track(long: bool) -> None:
    # Measured in Firefox 153: a picture that starts a second after the sound was shown at 1000 / 12800 s.
    film = make_film(
        make_track(1, 12_800, [(1000, -1), (1600, 1024)], long=long), make_track(2, 44_100, [(1600, 1024)])
    )
    assert measure_early(film) == {1: pytest.approx(1 - 1000 / 12_800)}


def test_an_index_after_media_with_a_64_bit_size_is_found() -> None:
    assert list(measure_early(make_film(make_track(7, 90_000, [(500, -1), (1600, 0)]), large=True))) == [7]


def test_an_empty_edit_without_a_following_one_is_ignored() -> None:
    assert measure_early(make_film(make_track(1, 12_800, [(1000, -1)]))) == {}


@pytest.mark.parametrize("keep", range(0, 260, 13))
def test_a_truncated_file_causes_no_error(keep: int) -> None:
    whole = make_film(make_track(1, 12_800, [(1000, -1), (1600, 1024)])).getvalue()
    assert set(measure_early(io.BytesIO(whole[:keep]))) <= {1}


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0\0moov", b"\0\0\0\1moov\xff", box(b"moov"), box(b"moov", bytes(64)), b"\x1a\x45\xdf\xa3"]
)
def test_a_file_that_is_not_mp4_has_no_early_tracks(data: bytes) -> None:
    assert measure_early(io.BytesIO(data)) == {}


def test_a_timescale_of_0_causes_no_error() -> None:
    assert measure_early(make_film(make_track(1, 0, [(1000, -1), (1600, 0)]))) == {}


def test_the_origin_of_a_video_is_where_firefox_counts_from(tmp_path: Path) -> None:
    path = write(tmp_path / "walk.mp4", walking(30), times_ms=range(8000, 9200, 40), sound_s=2)
    with Video(path) as video, path.open("rb") as file:
        early = measure_early(file)
        assert len(early) == 1
        assert video.origin_ms == pytest.approx(1000 * sum(early.values()), abs=1)  # the sound starts at 0
        opened = Video(path, file=file)
        assert opened.origin_ms == video.origin_ms
        assert len(list(opened.read_frames())) == 30
