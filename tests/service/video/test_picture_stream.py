"""Opening files by name, and choosing the video stream."""

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.video.picture_stream import locate
from danmatte.video.reader import Video
from tests.service.tracks.videos import walking, write

SMALL, LARGE = Size(90, 160), Size(180, 320)


def write_streams(path: Path, streams: Sequence[tuple[str, Size, int]], enabled: Sequence[int]) -> Path:
    """Write a file with streams of (codec, size, number of frames); the streams `enabled` are default streams."""
    with av.open(str(path), "w") as container:
        made = []
        for number, (codec, size, _) in enumerate(streams):
            pixel = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream = container.add_stream(codec, rate=25, width=size.width, height=size.height, pix_fmt=pixel)
            stream.disposition = Disposition.default if number in enabled else Disposition(0)
            made.append(stream)
        container.start_encoding()
        for stream, (_, size, count) in zip(made, streams, strict=True):
            for at in range(count):
                frame = av.VideoFrame.from_ndarray(np.full((*size, 3), 40 * at, np.uint8), "rgb24")
                frame.pts, frame.time_base = at, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "name",
    ["12:30 clip.mp4", "concat:a.mp4", "pipe:0.mp4", "http:a.mp4", "data:,.mp4", "file:a.mp4", "-a.mp4", "%03d.mp4"],
)
def test_a_path_that_looks_like_a_protocol_is_opened_as_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    os.rename(write(tmp_path / "a.mp4", walking(2)), tmp_path / name)  # noqa: PTH104 - the shortest way
    monkeypatch.chdir(tmp_path)
    with Video(Path(name)) as video:
        assert len(list(video.read_frames())) == 2


def test_an_address_is_kept_and_a_file_name_becomes_an_absolute_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for address in ("rtmp://127.0.0.1/live", "pipe:0", "file:a.mp4"):
        assert locate(address) == address
    assert locate("12:30.ts") == str(tmp_path / "12:30.ts")


def test_a_pipe_is_rejected_without_reading_it(tmp_path: Path) -> None:
    """Reading it would block, because nothing writes to it."""
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(TrackError, match=r"a\.mp4: expected a file, which is read more than once, received a pipe$"):
        Video(tmp_path / "a.mp4")


def test_a_preview_picture_stored_before_the_video_is_ignored(tmp_path: Path) -> None:
    """Cameras store one there, and no browser plays it."""
    path = write_streams(tmp_path / "a.mp4", [("mjpeg", SMALL, 1), ("libx264", LARGE, 5)], enabled=[0, 1])
    with Video(path) as video:
        assert video.size == LARGE
        assert len(list(video.read_frames())) == 5


def test_an_animated_avif_is_read_as_a_video(tmp_path: Path) -> None:
    first, *rest = (Image.new("RGB", (64, 48), (at, at, at)) for at in (40, 120, 200))
    first.save(tmp_path / "a.avif", save_all=True, append_images=rest, duration=40)
    with Video(tmp_path / "a.avif") as video:
        assert [frame.pts_ms for frame in video.read_frames()] == [0, 40, 80]


def test_a_stream_of_jpeg_pictures_is_a_video_if_it_is_the_only_stream(tmp_path: Path) -> None:
    with Video(write_streams(tmp_path / "a.mov", [("mjpeg", SMALL, 3)], enabled=[])) as video:
        assert len(list(video.read_frames())) == 3


@pytest.mark.parametrize(("suffix", "size"), [(".mp4", LARGE), (".mkv", SMALL)])
def test_of_several_video_streams_the_one_that_chromium_plays_is_read(tmp_path: Path, suffix: str, size: Size) -> None:
    """In MP4, tracks that aren't enabled are ignored; in Matroska, the first track is played regardless of flags."""
    path = write_streams(tmp_path / f"a{suffix}", [("libx264", SMALL, 2), ("libx264", LARGE, 2)], enabled=[1])
    with Video(path) as video:
        assert video.size == size
        assert len(list(video.read_frames())) == 2


def test_an_unknown_codec_is_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", walking(2))
    path.write_bytes(path.read_bytes().replace(b"avc1\0\0", b"zz9z\0\0"))
    with pytest.raises(TrackError, match=r"a\.mp4: expected a video stream, received one with an unknown codec$"):
        Video(path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "expected a video, received an empty file"),
        (b"<!doctype html>", "expected a video, received a file of unknown format that starts with b'<!doctyp'"),
        (None, r"expected a video, received an MP4 without its index \(moov\): cut off, or still being written"),
    ],
)
def test_a_file_that_is_not_a_video_is_reported_with_what_it_is(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "a.mov"  # its index is at the end
    if content is None:
        content = write(path, walking(5)).read_bytes()[:-100]
        content = content[: content.index(b"moov")]
    path.write_bytes(content)
    with pytest.raises(TrackError, match=rf"^{path}: {expected}$"):
        Video(path)
