"""Edit lists of MP4 as Firefox reads them (ISO/IEC 14496-12, 8.6.6): how much too early it begins a track.

An edit list may begin with an empty edit, which says for how long nothing of its track is shown. That length counts in
the movie's timescale; Firefox takes it for one in the track's own. Frames of a film whose tracks don't all begin at
once are shifted by the difference.
"""

import struct
from collections.abc import Iterator
from typing import BinaryIO

_MOST_BYTES = 2**26  # of an index; larger ones are left unread
_NOTHING = (2**32 - 1, 2**64 - 1)  # a media time of -1: an empty edit


def measure_early(file: BinaryIO) -> dict[int, float]:
    """By how many seconds Firefox begins each track too early, by the track's number; none where it does right.

    Whatever isn't an MP4, or is a damaged one, has none.
    """
    try:
        index = _read_index(file)
        movie = _find_box(index, b"mvhd")
        scale = _read_timescale(movie)
        return dict(early for track in _find_boxes(index, b"trak") for early in _measure(track, scale))
    except (OSError, ValueError, IndexError, struct.error, ZeroDivisionError):
        return {}


def _read_index(file: BinaryIO) -> bytes:
    """The content of the file's `moov`; raises ValueError where there is none of a usual size."""
    file.seek(0)
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        done = 8
        if size == 1:
            (size,), done = struct.unpack(">Q", file.read(8)), 16
        if size < done or (kind == b"moov" and size > _MOST_BYTES):
            break
        if kind == b"moov":
            return file.read(size - done)
        file.seek(size - done, 1)
    raise ValueError("expected an index")


def _find_boxes(content: bytes, *path: bytes) -> Iterator[bytes]:
    """The contents of the boxes at this path of names."""
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
    """The content of the first of them; raises ValueError where there is none."""
    for found in _find_boxes(content, *path):
        return found
    raise ValueError(f"expected {path[-1].decode()}")


def _measure(track: bytes, movie_scale: int) -> Iterator[tuple[int, float]]:
    """The track's number and how early it is, if its edit list begins with an empty edit."""
    head = _find_box(track, b"tkhd")
    (number,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    scale = _read_timescale(_find_box(track, b"mdia", b"mdhd"))
    for edits in _find_boxes(track, b"edts", b"elst"):
        (count,) = struct.unpack_from(">I", edits, 4)
        if count > 1:  # Firefox passes over an empty edit that nothing follows
            length, media = struct.unpack_from(">QQ" if edits[0] else ">II", edits, 8)
            if media in _NOTHING:
                yield number, length / movie_scale - length / scale


def _read_timescale(head: bytes) -> int:
    """Ticks a second, of a movie's or a track's header."""
    (scale,) = struct.unpack_from(">I", head, 20 if head[0] else 12)
    return int(scale)
