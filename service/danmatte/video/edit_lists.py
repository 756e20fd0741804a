"""MP4 edit lists (ISO/IEC 14496-12, 8.6.6) as Firefox reads them: how much too early it starts a track.

An edit list may begin with an empty edit, during which nothing of its track is shown. Its length is in the movie's
timescale, but Firefox reads it in the track's own. In a film whose tracks don't all start at the same time, this shifts
the frames by the difference.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_MAX_INDEX_BYTES = 2**26  # larger indexes aren't read
_EMPTY = (2**32 - 1, 2**64 - 1)  # a media time of -1, which marks an empty edit


def measure_early(file: BinaryIO) -> dict[int, float]:
    """Return by how many seconds Firefox starts each track that begins with an empty edit too early, by track ID.

    The result is empty for files that aren't MP4 or are damaged.
    """
    try:
        index = _read_index(file)
        movie = _find_box(index, b"mvhd")
        scale = _read_timescale(movie)
        return dict(early for track in _find_boxes(index, b"trak") for early in _measure(track, scale))
    except (OSError, ValueError, IndexError, struct.error, ZeroDivisionError):
        return {}


def _read_index(file: BinaryIO) -> bytes:
    """Return the content of the file's `moov` box; raises ValueError if there is none, or if it is too large."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        done = 8
        if size == 1:
            (size,), done = struct.unpack(">Q", file.read(8)), 16
        if size < done or (kind == b"moov" and size > _MAX_INDEX_BYTES):
            break
        if kind == b"moov":
            return file.read(size - done)
        file.seek(size - done, 1)
    raise ValueError("expected an index")


def _find_boxes(content: bytes, *path: bytes) -> Iterator[bytes]:
    """Yield the contents of the boxes at this path of names."""
    at = 0
    while at + 8 <= len(content):
        size, kind = struct.unpack_from(">I4s", content, at)
        if size < 8:
            return
        if kind == path[0]:
            inner = content[at + 8 : at + size]
            if len(path) == 1:
                yield inner
            else:
                yield from _find_boxes(inner, *path[1:])
        at += size


def _find_box(content: bytes, *path: bytes) -> bytes:
    """Return the content of the first box at this path; raises ValueError if there is none."""
    for found in _find_boxes(content, *path):
        return found
    raise ValueError(f"expected {path[-1].decode()}")


def _measure(track: bytes, movie_scale: int) -> Iterator[tuple[int, float]]:
    """Yield a track's ID and how many seconds it starts early, if its edit list begins with an empty edit."""
    head = _find_box(track, b"tkhd")
    (number,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    scale = _read_timescale(_find_box(track, b"mdia", b"mdhd"))
    for edits in _find_boxes(track, b"edts", b"elst"):
        (count,) = struct.unpack_from(">I", edits, 4)
        if count > 1:  # Firefox ignores an empty edit that is the only one
            length, media = struct.unpack_from(">QQ" if edits[0] else ">II", edits, 8)
            if media in _EMPTY:
                yield number, length / movie_scale - length / scale


def _read_timescale(head: bytes) -> int:
    """Return the ticks per second in the header of a movie or a track."""
    (scale,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    return int(scale)
