"""HLS and DASH playlists, read section by section on a player's clock."""

from pathlib import Path

import pytest

from danmatte.errors import TrackError
from danmatte.video.playlist import JoinedParts, Part, read_sections
from danmatte.video.reader import ClockName, Video
from tests.service.tracks.videos import walking, write

TIMELINE = "<SegmentTimeline>{runs}</SegmentTimeline></SegmentTemplate>"


def write_segments(folder: Path, name: str, starts_ms: list[int], count: int = 10) -> list[str]:
    """Write transport streams of `count` frames each that start at these times; return their names."""
    files = [f"{name}{at}.ts" for at in range(len(starts_ms))]
    for file, start_ms in zip(files, starts_ms, strict=True):
        write(folder / file, walking(count), times_ms=range(start_ms, start_ms + 40 * count, 40), b_frames=2)
    return files


def write_list(folder: Path, *lines: str) -> Path:
    path = folder / "list.m3u8"
    path.write_text("\n".join(["#EXTM3U", "#EXT-X-TARGETDURATION:1", *lines, "#EXT-X-ENDLIST"]))
    return path


def list_segments(files: list[str], seconds: float = 0.4) -> list[str]:
    return [line for file in files for line in (f"#EXTINF:{seconds},", file)]


def read_times(path: Path, clock: ClockName = "media", from_ms: int = 0) -> list[int]:
    with Video(path, clock) as video:
        return [frame.pts_ms for frame in video.read_frames(from_ms)]


def test_segments_are_read_as_one_video_that_starts_at_0(tmp_path: Path) -> None:
    path = write_list(tmp_path, *list_segments(write_segments(tmp_path, "a", [1480, 1880, 2280])))
    assert read_times(path) == list(range(0, 1200, 40))
    assert read_times(path, "file") == list(range(1480, 2680, 40))
    assert read_times(path, from_ms=700) == list(range(720, 1200, 40))


@pytest.mark.parametrize("stated_s", [0.4, 0.5, 1])
def test_times_continue_without_a_gap_after_a_discontinuity(tmp_path: Path, stated_s: float) -> None:
    first, second = write_segments(tmp_path, "a", [1480, 1880]), write_segments(tmp_path, "b", [90_000, 90_400])
    third = write_segments(tmp_path, "c", [400])
    joined = [*list_segments(first, stated_s), "#EXT-X-DISCONTINUITY", *list_segments(second, stated_s)]
    path = write_list(tmp_path, *joined, "#EXT-X-DISCONTINUITY", *list_segments(third))
    with Video(path) as video:
        for _ in range(2):  # twice, because reading again must start anew
            assert [frame.pts_ms for frame in video.read_frames()] == list(range(0, 2000, 40))
            assert video.sections == [(0, 1480), (800, 90_000), (1600, 400)]
            assert (video.broken, video.dropped, video.ended_ms) == ("", 0, 2000)


def test_the_time_of_scripted_players_starts_at_the_first_decoding_time(tmp_path: Path) -> None:
    with Video(write_list(tmp_path, *list_segments(write_segments(tmp_path, "a", [1480])))) as video:
        assert (video.first_ms, video.scripted_ms) == (0, 80)
    with Video(tmp_path / "a0.ts") as video:
        assert video.scripted_ms == 0


def test_segments_can_be_byte_ranges_of_one_file(tmp_path: Path) -> None:
    parts = [(tmp_path / file).read_bytes() for file in write_segments(tmp_path, "a", [1480, 1880])]
    (tmp_path / "all file.ts").write_bytes(b"x" * 100 + b"".join(parts))
    ranges = [f"#EXT-X-BYTERANGE:{len(parts[0])}@100", f"#EXT-X-BYTERANGE:{len(parts[1])}"]
    lines = [line for each in ranges for line in ("#EXTINF:0.4,", each, "all%20file.ts")]
    assert read_times(write_list(tmp_path, *lines)) == list(range(0, 800, 40))


@pytest.mark.parametrize(("number", "date"), [(0, "00.250"), (1, "00.650"), (2, "01.050")])
def test_the_date_of_a_recording_is_computed_for_its_first_segment(tmp_path: Path, number: int, date: str) -> None:
    lines = list_segments(write_segments(tmp_path, "a", [1480, 1880, 2280]))
    lines.insert(2 * number, f"#EXT-X-PROGRAM-DATE-TIME:2026-11-30T10:00:{date}Z")
    with Video(write_list(tmp_path, *lines)) as video:
        assert video.date_ms == 1_796_032_800_250


def test_the_smallest_rendition_that_is_fine_enough_is_read(tmp_path: Path) -> None:
    write_list(tmp_path, *list_segments(write_segments(tmp_path, "a", [1480])))
    sizes = [(9, "1920x1080", "no.m3u8"), (5, "1280x720", "list.m3u8"), (1, "320x180", "none.m3u8")]
    lines = [
        line
        for rate, size, name in sizes
        for line in (f"#EXT-X-STREAM-INF:BANDWIDTH={rate}000,RESOLUTION={size}", name)
    ]
    master = tmp_path / "master.m3u8"
    master.write_text("\n".join(["#EXTM3U", *lines]))
    assert len(read_times(master)) == 10


def write_mpd(folder: Path, *periods: str) -> Path:
    path = folder / "list.mpd"
    opened = '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S">'
    path.write_text(f"<?xml version='1.0'?>{opened}{''.join(periods)}</MPD>")
    return path


def format_period(facts: str, inside: str) -> str:
    sound = '<AdaptationSet contentType="audio"><Representation id="s"/></AdaptationSet>'
    chosen = f'<Representation id="v" height="180" bandwidth="9">{inside}</Representation>'
    return f'<Period {facts}>{sound}<AdaptationSet mimeType="video/mp4">{chosen}</AdaptationSet></Period>'


def test_dash_periods_start_at_their_presentation_times(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", walking(25), b_frames=2)
    write(tmp_path / "b.mp4", walking(25), times_ms=range(7000, 8000, 40))
    base = '<SegmentBase timescale="1000" presentationTimeOffset="7000"/>'
    path = write_mpd(
        tmp_path,
        format_period('duration="PT1S"', "<BaseURL>a.mp4</BaseURL>"),
        format_period('duration="P0Y0M0DT0M1.0S"', f"<BaseURL>b.mp4</BaseURL>{base}"),
    )
    with Video(path) as video:
        assert [frame.pts_ms for frame in video.read_frames()] == list(range(0, 2000, 40))
        assert (video.sections, video.scripted_ms, video.broken) == ([(0, 0), (1000, 7000)], 0, "")


@pytest.mark.parametrize(
    "template",
    [
        'media="$RepresentationID$-$Number%03d$.ts" startNumber="7" timescale="10" duration="4"/>',
        'media="v-$Time$.ts" timescale="1000">' + TIMELINE.format(runs='<S t="0" d="400" r="1"/><S d="400"/>'),
        'media="v-$Time$.ts" timescale="1000">' + TIMELINE.format(runs='<S t="0" d="400" r="-1"/>'),
    ],
)
def test_dash_segments_are_found_by_their_templates(tmp_path: Path, template: str) -> None:
    for at, file in enumerate(write_segments(tmp_path, "a", [400, 800, 1200])):
        data = (tmp_path / file).read_bytes()
        for name in (f"v-{at + 7:03}.ts", f"v-{400 * at}.ts"):
            (tmp_path / "video").mkdir(exist_ok=True)
            (tmp_path / "video" / name).write_bytes(data)
    inside = f"<BaseURL>video/</BaseURL><SegmentTemplate {template}"
    path = write_mpd(tmp_path, format_period('start="PT0.5S" duration="PT1.2S"', inside))
    assert read_times(path) == list(range(900, 2100, 40))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.m3u8", "", "received none"),
        ("a.m3u8", "#EXTM3U\n#EXTINF:1,\nmissing.ts\n", "missing.ts, which doesn't exist"),
        ("a.m3u8", "#EXTM3U\n#EXTINF:1,\nhttps://example.org/a.ts\n", "on this disk, received https"),
        (
            "a.m3u8",
            '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="k"\n#EXTINF:1,\na.ts\n',
            "aren't encrypted, received AES-128",
        ),
        ("a.mpd", "", "expected a playlist"),
        ("a.mpd", "<MPD/>", "received none"),
        ("a.mpd", "<MPD><Period start='soon'/></MPD>", "expected a duration, received 'soon'"),
        (
            "a.mpd",
            '<MPD><Period duration="PT99999999S"><AdaptationSet mimeType="video/mp4"><SegmentTemplate media="$Number$" '
            'duration="1" timescale="1000"/><Representation/></AdaptationSet></Period></MPD>',
            "expected at most 1048576 segments",
        ),
    ],
)
def test_invalid_playlists_are_rejected(tmp_path: Path, name: str, content: str, expected: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(TrackError, match=expected):
        read_sections(tmp_path / name)


def test_a_file_that_is_not_a_playlist_has_no_sections(tmp_path: Path) -> None:
    assert read_sections(tmp_path / "a.mp4") == ()


def test_joined_parts_are_read_as_one_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"0123456789")
    (tmp_path / "b").write_bytes(b"abc")
    joined = JoinedParts([Part(tmp_path / "a", 2, 3), Part(tmp_path / "b"), Part(tmp_path / "a", 9)])
    assert joined.readable()
    assert [joined.read(2), joined.read(2), joined.read(), joined.read(9), joined.read(9)] == [
        b"23",
        b"4",
        b"abc",
        b"9",
        b"",
    ]
