"""Masks as a rendition of HLS."""

import base64
import re
from pathlib import Path
from urllib.parse import unquote

import m3u8
import msgspec
import numpy as np
import pytest

from danmatte.broadcast.rendition import Rendition, RenditionOptions, add_to_multivariant, write_rendition
from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, Film, TrackHeader, TrackWriter
from danmatte.tracks.formats.mattes import fill_outlines

SIZE = Size(18, 32)
HEADER = TrackHeader(SIZE, "person")


def make_entry(pts_ms: int) -> Entry:
    return Entry(pts_ms, np.tile(np.arange(32) < 1 + pts_ms // 100 % 31, (18, 1)))


def read_cues(path: Path) -> list[tuple[str, str, np.ndarray]]:
    """Return start, end and mask of each cue."""
    found = re.findall(r"^([\d:.]+) --> ([\d:.]+)\n(.+)\n$", path.read_text(), re.MULTILINE)
    cues = [(start, end, msgspec.json.decode(payload)) for start, end, payload in found]
    return [(start, end, fill_outlines(base64.b64decode(cue["mask"]), SIZE)) for start, end, cue in cues]


def test_a_finished_rendition_has_every_mask_in_its_segment(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions(segment_ms=2000))
    for pts_ms in range(0, 5000, 40):
        rendition.add(make_entry(pts_ms))
    rendition.finish()
    playlist = m3u8.load(str(tmp_path / "masks.m3u8"))
    assert playlist.is_endlist
    assert playlist.playlist_type == "vod"
    assert [segment.duration for segment in playlist.segments] == [2, 2, 1.96]
    cues = [read_cues(tmp_path / segment.uri) for segment in playlist.segments]
    assert [len(each) for each in cues] == [50, 50, 25]
    assert cues[1][0][:2] == ("00:00:02.000", "00:00:02.040")
    assert all(np.array_equal(mask, make_entry(2000 + 40 * at).mask) for at, (*_, mask) in enumerate(cues[1]))


def test_a_live_mask_is_shown_for_at_most_a_second_while_frames_are_lost(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions(segment_ms=2000, window=6))
    for pts_ms in (0, 1900, 7000):
        rendition.add(make_entry(pts_ms))
    rendition.finish()
    segments = m3u8.load(str(tmp_path / "masks.m3u8")).segments
    cues = [[cue[:2] for cue in read_cues(tmp_path / segment.uri)] for segment in segments]
    lost = ("00:00:01.900", "00:00:02.900")
    assert cues == [[("00:00:00.000", "00:00:01.000"), lost], [lost], [], [("00:00:07.000", "00:00:08.000")]]


def test_a_mask_shown_across_segment_boundaries_is_in_each_segment(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions(segment_ms=1000))
    for pts_ms in (0, 900, 2100):
        rendition.add(make_entry(pts_ms))
    rendition.finish()
    segments = m3u8.load(str(tmp_path / "masks.m3u8")).segments
    starts = [[start for start, *_ in read_cues(tmp_path / segment.uri)] for segment in segments]
    assert starts == [
        ["00:00:00.000", "00:00:00.900"],
        ["00:00:00.900"],
        ["00:00:00.900", "00:00:02.100"],
        ["00:00:02.100"],
    ]


def run_live(folder: Path, *, seconds: int) -> m3u8.M3U8:
    """Write a live rendition that ends after some seconds."""
    rendition = Rendition(folder / "masks.m3u8", HEADER, RenditionOptions(segment_ms=1000, window=3))
    for pts_ms in range(0, 1000 * seconds + 1, 100):
        rendition.add(make_entry(pts_ms))
    return m3u8.load(str(folder / "masks.m3u8"))


def test_segment_numbers_continue_from_those_of_an_earlier_run(tmp_path: Path) -> None:
    """Otherwise, connected players would wait for the old numbers: a media sequence must never decrease."""
    others = ("masks-1-000001.vtt", "masks-12.vtt", "another-000001.vtt", "masks-000001.vtt.bak")
    for name in others:
        (tmp_path / name).write_text("of a different program")
    first, second = run_live(tmp_path, seconds=20), run_live(tmp_path, seconds=5)
    assert first.media_sequence + len(first.segments) == 20
    assert second.media_sequence == 22
    assert [segment.uri for segment in second.segments] == [f"masks-0000{number}.vtt" for number in (22, 23, 24)]
    kept = {path.name for path in tmp_path.glob("*.vtt*")} - set(others)
    assert kept == {f"masks-0000{number}.vtt" for number in range(20, 25)}
    assert all((tmp_path / name).exists() for name in others)


def test_a_finished_rendition_starts_with_segment_number_0(tmp_path: Path) -> None:
    run_live(tmp_path, seconds=5)
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions(segment_ms=1000))
    for pts_ms in (0, 900):
        rendition.add(make_entry(pts_ms))
    rendition.finish()
    assert m3u8.load(str(tmp_path / "masks.m3u8")).segments[0].uri == "masks-000000.vtt"


def test_a_live_playlist_is_a_sliding_window_and_old_segments_are_deleted(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions(segment_ms=1000, window=3))
    for pts_ms in range(0, 20_001, 100):
        rendition.add(make_entry(pts_ms))
    playlist = m3u8.load(str(tmp_path / "masks.m3u8"))
    assert not playlist.is_endlist
    assert playlist.media_sequence == 17
    assert [segment.uri for segment in playlist.segments] == [f"masks-{number:06}.vtt" for number in (17, 18, 19)]
    assert len(list(tmp_path.glob("masks-*.vtt"))) == 6
    rendition.finish()
    assert m3u8.load(str(tmp_path / "masks.m3u8")).is_endlist


def test_segments_of_a_stream_joined_late_start_at_multiples_of_their_length(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions(segment_ms=1000, window=3, date_ms=10**12))
    for pts_ms in range(3_600_700, 3_603_001, 100):
        rendition.add(make_entry(pts_ms))
    playlist = m3u8.load(str(tmp_path / "masks.m3u8"))
    assert [segment.duration for segment in playlist.segments] == [1, 1, 1]
    date = playlist.segments[0].program_date_time
    assert round(1000 * date.timestamp()) == 10**12 + 3_600_000


def test_segments_map_their_times_to_the_streams_mpegts_timestamps(tmp_path: Path) -> None:
    with TrackWriter(tmp_path / "film.mattes", HEADER) as writer:
        for pts_ms in range(0, 3000, 40):
            writer.add(make_entry(pts_ms))
        writer.describe_film(Film("0" * 64, "media", 32, 18, (1, 1), 0, 3000, 0, 0, sections=((0, 95_443_800),)))
    assert write_rendition(tmp_path / "film.mattes", tmp_path / "masks.m3u8") == 75
    text = (tmp_path / "masks-000000.vtt").read_text()
    assert text.startswith(f"WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:{95_443_800 * 90 % 2**33}\n\n")


def test_masks_whose_times_do_not_increase_are_refused(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions())
    rendition.add(make_entry(40))
    with pytest.raises(TrackError, match="expected more than 40 ms"):
        rendition.add(make_entry(40))


def test_an_empty_rendition_and_a_missing_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TrackError, match="at least one mask"):
        Rendition(tmp_path / "masks.m3u8", HEADER, RenditionOptions()).finish()
    rendition = Rendition(tmp_path / "none/masks.m3u8", HEADER, RenditionOptions())
    rendition.add(make_entry(0))
    with pytest.raises(TrackError, match=r"masks-000000\.vtt: can't be written"):
        rendition.finish()


VARIANTS = (
    "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=800000\nlow.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2000000{more}\nhigh.m3u8\n"
)


def test_masks_in_a_multivariant_playlist_are_not_selected_by_default() -> None:
    found = m3u8.loads(add_to_multivariant(VARIANTS.format(more=""), "masks.m3u8"))
    (media,) = found.media
    assert (media.type, media.uri, media.default, media.autoselect) == ("SUBTITLES", "masks.m3u8", "NO", "NO")
    assert [each.stream_info.subtitles for each in found.playlists] == ["masks", "masks"]


def test_masks_join_an_existing_subtitles_group() -> None:
    found = m3u8.loads(add_to_multivariant(VARIANTS.format(more=',SUBTITLES="text"'), "masks.m3u8"))
    assert [media.group_id for media in found.media] == ["text"]
    assert [each.stream_info.subtitles for each in found.playlists] == ["text", "text"]


def test_adding_masks_again_replaces_their_entry_in_the_playlist() -> None:
    for more in ("", ',SUBTITLES="text"'):
        once = add_to_multivariant(VARIANTS.format(more=more), "masks.m3u8")
        assert add_to_multivariant(once, "masks.m3u8") == once
        (media,) = m3u8.loads(add_to_multivariant(once, "other/masks.m3u8")).media
        assert media.uri == "other/masks.m3u8"


def test_segment_uris_are_percent_encoded(tmp_path: Path) -> None:
    rendition = Rendition(tmp_path / "what? 50 %.m3u8", HEADER, RenditionOptions(segment_ms=2000))
    rendition.add(make_entry(0))
    rendition.finish()
    (segment,) = m3u8.loads((tmp_path / "what? 50 %.m3u8").read_text()).segments
    assert (tmp_path / unquote(segment.uri)).is_file()
    assert "?" not in segment.uri


def test_a_media_playlist_is_refused_as_a_multivariant_one() -> None:
    with pytest.raises(TrackError, match="expected a multivariant playlist"):
        add_to_multivariant("#EXTM3U\n#EXTINF:6,\none.ts\n", "masks.m3u8")
