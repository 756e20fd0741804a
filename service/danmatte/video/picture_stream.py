"""A file or an address as libavformat opens it, and which of its streams has the pictures that players show."""

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

_ASIDE = Disposition.attached_pic | Disposition.timed_thumbnails  # a cover, or what is shown beside the time line
_PREVIEWS = frozenset({"mjpeg", "png", "bmp", "gif", "webp", "tiff", "jpeg2000"})  # what browsers show in no video
_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
_BEGINNING = 8  # bytes that are told of what can't be read


def locate(source: str) -> str:
    """What libavformat is to open: an address as it is, and the path of a file so that it is taken for nothing else.

    `12:30.mp4` would be a file of the protocol 12, `concat:a.mp4` a list.
    """
    if "://" in source or source.startswith(("pipe:", "file:")) or not source:
        return source
    return str(Path(source).absolute())


class FileState(NamedTuple):
    """What tells a file from the one that was there before, or from what it will grow to."""

    inode: int
    size_bytes: int


def check_file(path: PurePath) -> FileState:
    """A file as it is now.

    Raises TrackError for what can't be read again and again: a pipe would keep its reader waiting for ever.
    """
    try:
        facts = Path(path).stat()
    except OSError as error:
        raise TrackError(f"{path}: expected a video: {error.strerror}") from error
    if kind := _KINDS.get(stat.S_IFMT(facts.st_mode)):
        raise TrackError(f"{path}: expected a file, which is read more than once, received {kind}")
    return FileState(facts.st_ino, facts.st_size)


def has_changed(path: PurePath, before: FileState) -> bool:
    """Whether a file has grown or gone since, or another one has its name."""
    try:
        return check_file(path) != before
    except TrackError:
        return True


def explain(error: Exception) -> str:
    """Why libavformat refuses, in its words, without the number and the name that it adds."""
    return getattr(error, "strerror", None) or str(error)


def describe_refusal(error: Exception, path: PurePath, file: BinaryIO | None = None) -> str:
    """What was received in place of a video, from `path` or a `file` that is open."""
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
    return f"expected a video, received bytes that are none: {beginning!r}"


def check_target(source: str, target: str) -> None:
    """Raises TrackError where what is read would be written over itself."""
    given, wanted = Path(locate(source)), Path(locate(target))
    if wanted.is_file() and given.is_file() and wanted.samefile(given):
        raise TrackError(f"{target}: expected another file than the one being read")


def choose_pictures(container: InputContainer, name: object) -> VideoStream:
    """The stream of pictures that players show; raises TrackError where there is none.

    That is the first, in MP4 the first one that is enabled (ISO/IEC 14496-12, 8.3.2); a cover never is, and a preview
    in a picture's format only where it is alone: browsers pass over it.
    """
    found = [each for each in container.streams.video if not each.disposition & _ASIDE]
    known = [each for each in found if has_decoder(each)]
    if not known:
        received = "one of an unknown codec" if found else "none"
        raise TrackError(f"{name}: expected a stream of pictures, received {received}")
    disables = "mp4" in container.format.name.split(",")

    def rank(stream: VideoStream) -> tuple[bool, bool]:
        is_still = stream.frames == 1 and stream.duration is None  # as AVIF has one before what moves
        is_off = disables and not stream.disposition & Disposition.default
        return is_still or stream.codec_context.name in _PREVIEWS, is_off

    return min(known, key=rank)


def has_decoder(stream: VideoStream) -> bool:
    """Whether libavcodec knows the stream's codec; PyAV's own types don't say that there may be none."""
    return cast(VideoCodecContext | None, stream.codec_context) is not None


def check_moving(container: InputContainer, name: object) -> None:
    """Raises TrackError for a single picture, which libavformat reads, too."""
    format_, videos = container.format.name, container.streams.video
    if format_ == "image2" or format_.endswith("_pipe"):
        codec = videos[0].codec_context.name if videos and has_decoder(videos[0]) else format_
        raise TrackError(f"{name}: expected a video, received a picture ({codec})")


def list_boxes(file: BinaryIO, length: int) -> Iterator[bytes]:
    """The names of the boxes of an MP4 that lie in no other one (ISO/IEC 14496-12, 4.2)."""
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
