"""Opening files and URLs with libavformat, and selecting the video stream that players show."""

import os
import stat
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path, PurePath
from typing import BinaryIO, NamedTuple, cast

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from danmatte.errors import TrackError

_ASIDE = Disposition.attached_pic | Disposition.timed_thumbnails  # covers and thumbnails of the timeline
_PREVIEWS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000"})  # browsers don't play these as video
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_BEGINNING = 8  # bytes of an unreadable file that error messages contain


def locate(source: str) -> str:
    """Return the name to open with libavformat: a URL unchanged, a file's path made absolute.

    Otherwise `12:30.mp4` would be read as a URL of the protocol `12`, and `concat:a.mp4` as a list.
    """
    if "://" in source or source.startswith(("pipe:", "file:")) or not source:
        return source
    return str(Path(source).absolute())


class FileState(NamedTuple):
    """A file's identity and size, to detect that it was replaced or has grown."""

    inode: int
    size_bytes: int


def check_file(path: PurePath) -> FileState:
    """Return a file's current state.

    Raises TrackError if it can't be read more than once; reading a pipe again would block forever.
    """
    try:
        facts = Path(path).stat()
    except OSError as error:
        raise TrackError(f"{path}: expected a video: {error.strerror}") from error
    if kind := _KINDS.get(stat.S_IFMT(facts.st_mode)):
        raise TrackError(f"{path}: expected a file, which is read more than once, received {kind}")
    return FileState(facts.st_ino, facts.st_size)


def has_changed(path: PurePath, before: FileState) -> bool:
    """Return whether a file has since changed in size, been replaced, or been deleted."""
    try:
        return check_file(path) != before
    except TrackError:
        return True


def explain(error: Exception) -> str:
    """Return libavformat's error message without the error number and file name that it adds."""
    return getattr(error, "strerror", None) or str(error)


def describe_refusal(error: Exception, path: PurePath, file: BinaryIO | None = None) -> str:
    """Return a message that says what was received instead of a video, from `path` or an open `file`."""
    if not isinstance(error, av.InvalidDataError):
        return f"expected a video: {explain(error)}"
    with nullcontext(file) if file else Path(path).open("rb") as content:
        length = content.seek(0, os.SEEK_END)
        content.seek(0)
        beginning = content.read(_BEGINNING)
        if not length:
            return "expected a video, received an empty file"
        if beginning[4:8] == b"ftyp" and b"moov" not in list_boxes(content, length):
            return "expected a video, received an MP4 without its index (moov): cut off, or still being written"
    return f"expected a video, received a file of unknown format that starts with {beginning!r}"


def check_target(source: str, target: str) -> None:
    """Raise TrackError if source and target are the same file, which would be overwritten while it is read."""
    given, wanted = Path(locate(source)), Path(locate(target))
    if wanted.is_file() and given.is_file() and wanted.samefile(given):
        raise TrackError(f"{target}: expected a file other than the one being read")


def choose_pictures(container: InputContainer, name: object) -> VideoStream:
    """Return the video stream that players show; raises TrackError if there is none.

    That is the first one, in MP4 the first enabled one (ISO/IEC 14496-12, 8.3.2). Covers are never chosen, and streams
    in a picture format only if there is no other, because browsers ignore them.
    """
    found = [each for each in container.streams.video if not each.disposition & _ASIDE]
    known = [each for each in found if has_decoder(each)]
    if not known:
        received = "one with an unknown codec" if found else "none"
        raise TrackError(f"{name}: expected a video stream, received {received}")
    disables = "mp4" in container.format.name.split(",")

    def rank(stream: VideoStream) -> tuple[bool, bool]:
        is_still = stream.frames == 1 and stream.duration is None  # as in AVIF, before the animation
        is_off = disables and not stream.disposition & Disposition.default
        return is_still or stream.codec_context.name in _PREVIEWS, is_off

    return min(known, key=rank)


def has_decoder(stream: VideoStream) -> bool:
    """Return whether libavcodec knows the stream's codec; PyAV's types don't say that the context may be None."""
    return cast(VideoCodecContext | None, stream.codec_context) is not None


def check_moving(container: InputContainer, name: object) -> None:
    """Raise TrackError for a single picture, which libavformat opens, too."""
    format_, videos = container.format.name, container.streams.video
    if format_ == "image2" or format_.endswith("_pipe"):
        codec = videos[0].codec_context.name if videos and has_decoder(videos[0]) else format_
        raise TrackError(f"{name}: expected a video, received a picture ({codec})")


def list_boxes(file: BinaryIO, length: int) -> Iterator[bytes]:
    """Yield the names of an MP4's top-level boxes (ISO/IEC 14496-12, 4.2)."""
    at = 0
    while at + 8 <= length:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4])
        if size == 1:
            size = int.from_bytes(head[8:16])
        yield head[4:8]
        if size < 8:
            return
        at += size
