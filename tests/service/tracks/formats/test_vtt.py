"""`.vtt`: readable by other software, and invalid files are refused by ours."""

import base64
from pathlib import Path
from typing import Any

import av
import msgspec
import numpy as np
import pytest

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, Film, Polarity, TrackHeader, TrackReader, TrackWriter
from danmatte.tracks.formats.mattes import encode_outlines, fill_outlines
from danmatte.tracks.formats.vtt import CueMask, format_time, read_cue

SIZE = Size(9, 14)
HEADER = TrackHeader(SIZE, "person")
FILM = Film("0" * 64, "media", 14, 9, (1, 1), 0, 3000, 0, 0)


def make_entry(number: int) -> Entry:
    mask = np.tile(np.arange(14) < number % 15, (9, 1))
    return Entry(40 * number, mask, number % 2 == 0, number == 5, number % 2 == 1, float(mask.mean()))


def write_track(path: Path, *, polarity: Polarity = "person", model: str = "toy", count: int = 20) -> Path:
    with TrackWriter(path, TrackHeader(SIZE, polarity, model, 3)) as track:
        for number in range(count):
            track.add(make_entry(number))
        track.describe_film(FILM)
    return path


@pytest.mark.parametrize("polarity", ["person", "background"])
def test_ffmpeg_reads_the_cues_with_their_times_and_masks(polarity: Polarity, tmp_path: Path) -> None:
    with av.open(str(write_track(tmp_path / "film.vtt", polarity=polarity))) as container:
        assert container.format.name == "webvtt"
        packets = [packet for packet in container.demux() if packet.size]
    assert [packet.pts for packet in packets] == [40 * number for number in range(20)]
    assert [packet.duration for packet in packets] == [40] * 19 + [1000]
    for number, packet in enumerate(packets):
        cue = msgspec.json.decode(bytes(packet), type=CueMask)
        bits = fill_outlines(base64.b64decode(cue.mask), SIZE)
        assert np.array_equal(bits if cue.polarity == "person" else ~bits, make_entry(number).mask)


def test_all_fields_of_an_entry_and_of_the_film_are_stored(tmp_path: Path) -> None:
    with TrackReader(write_track(tmp_path / "film.vtt")) as track:
        assert (track.header.model, track.header.version, track.header.film) == ("toy", 3, FILM)
        for number, entry in enumerate(track):
            wanted = make_entry(number)
            assert (entry.keyframe, entry.cut, entry.held) == (wanted.keyframe, wanted.cut, wanted.held)
            assert entry.coverage == pytest.approx(wanted.coverage, abs=5e-5)


def test_an_arrow_in_the_name_of_the_model_does_not_start_a_cue(tmp_path: Path) -> None:
    path = write_track(tmp_path / "film.vtt", model="a --> b")
    assert path.read_text().count("-->") == 20
    with TrackReader(path) as track:
        assert track.header.model == "a --> b"


def test_each_cue_ends_where_the_next_one_begins(tmp_path: Path) -> None:
    with TrackWriter(tmp_path / "film.vtt", HEADER) as track:
        for pts_ms in (0, 9000, 21_000, 21_040):
            track.add(Entry(pts_ms, np.zeros(SIZE, np.bool_)))
    lines = [line for line in (tmp_path / "film.vtt").read_text().splitlines() if "-->" in line]
    assert lines == [
        "00:00:00.000 --> 00:00:09.000",
        "00:00:09.000 --> 00:00:21.000",
        "00:00:21.000 --> 00:00:21.040",
        "00:00:21.040 --> 00:00:22.040",
    ]


def test_a_coverage_of_one_pixel_is_not_rounded_to_0(tmp_path: Path) -> None:
    with TrackWriter(tmp_path / "film.vtt", HEADER) as track:
        track.add(Entry(0, np.zeros(SIZE, np.bool_), coverage=1e-6))
    with TrackReader(tmp_path / "film.vtt") as track:
        (entry,) = track
    assert entry.coverage > 0


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "00:00:00.000"), (3_723_004, "01:02:03.004"), (360_000_001, "100:00:00.001")]
)
def test_times_are_written_and_read_in_the_format_of_webvtt(ms: int, text: str) -> None:
    assert format_time(ms) == text
    facts = msgspec.json.encode(CueMask(width=14, height=9, mask="")).decode()
    assert read_cue(f"{text} --> {text}\n{facts}", HEADER).pts_ms == ms


def make_cue(**changes: Any) -> str:
    """Return a cue's text with these fields changed."""
    mask = base64.b64encode(encode_outlines(make_entry(7).mask)).decode()
    facts = {"width": 14, "height": 9, "mask": mask} | changes
    return f"00:00:00.000 --> 00:00:00.040\n{msgspec.json.encode(facts).decode()}"


@pytest.mark.parametrize(
    ("cue", "expected"),
    [
        ("no times\n{}", "expected its two times"),
        ("00:00:00.000\n{}", "expected its two times"),
        ("00:60:00.000 --> 00:61:00.000\n{}", "expected its two times"),
        ("00:00:00.000 --> 00:00:00.040", "mask at 0 ms"),
        ("00:00:00.000 --> 00:00:00.040\nGood morning", "mask at 0 ms"),
        (make_cue(mask="%"), "mask at 0 ms"),
        (make_cue(mask="é"), "mask at 0 ms"),
        (make_cue(mask=7), "mask at 0 ms"),
        (make_cue(mask="AQAA"), "truncated"),
        (make_cue(width=15), "expected 14x9, received 15x9"),
        (make_cue(width=0), "mask at 0 ms"),
        (make_cue(polarity="people"), "mask at 0 ms"),
        (make_cue(coverage=2), "mask at 0 ms"),
    ],
)
def test_invalid_cues_are_rejected(cue: str, expected: str) -> None:
    with pytest.raises(TrackError, match=expected):
        read_cue(cue, HEADER)


def test_bytes_after_the_last_turn_are_rejected() -> None:
    data = encode_outlines(make_entry(7).mask)
    assert np.array_equal(fill_outlines(data, SIZE), make_entry(7).mask)
    with pytest.raises(TrackError, match="nothing after the last turn"):
        fill_outlines(data + b"\0", SIZE)


def test_a_mask_without_bytes_is_empty() -> None:
    assert not fill_outlines(b"", SIZE).any()


def change_head(path: Path, facts: bytes, stated: int | None = None) -> Path:
    """Return the track with these fields in its head."""
    first = b"WEBVTT danmatte/1 head=%08d\n\nNOTE\n"
    length = len(first % 0) + len(facts) + 2
    path.write_bytes(first % (length if stated is None else stated) + facts + b"\n\n")
    return path


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (b"{", "facts as JSON"),
        (b"\xff", "facts as JSON"),
        (b"[]", "facts as JSON"),
        (b'{"width":14,"height":9}', "segments"),
        (b'{"width":14,"height":9,"segments":[]}', "segments"),
        (b'{"width":14,"height":0,"segments":[[0,5]]}', "height"),
        (b'{"width":14,"height":9,"segments":[[0,0]]}', "segments"),
        (b'{"width":14,"height":9,"segments":[[-1,5]]}', "segments"),
        (b'{"width":14,"height":9,"segments":[[0,5]]}', "truncated"),
        (b'{"width":9999,"height":9999,"segments":[[0,5]]}', "size"),
        (b'{"width":14,"height":9,"segments":[[0,5]],"film":{}}', "film"),
    ],
)
def test_invalid_heads_are_rejected(facts: bytes, expected: str, tmp_path: Path) -> None:
    with pytest.raises(TrackError, match=expected):
        TrackReader(change_head(tmp_path / "film.vtt", facts))


@pytest.mark.parametrize("stated", [0, 38, 99_999_999, 4000])
def test_a_head_of_the_wrong_length_is_rejected(stated: int, tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="head"):
        TrackReader(change_head(tmp_path / "film.vtt", b'{"width":14,"height":9,"segments":[[0,5]]}', stated))


def test_subtitles_are_rejected_as_a_track(tmp_path: Path) -> None:
    path = tmp_path / "film.vtt"
    path.write_text("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nGood morning, and good luck\n\n")
    with pytest.raises(TrackError, match="the first lines of danmatte's tracks"):
        TrackReader(path)
