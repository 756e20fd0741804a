"""Mask tracks of whole videos, one file a format."""

from danmatte.tracks.formats import mattes, webmask
from danmatte.tracks.reader import TrackReader
from danmatte.tracks.track import Entry, Format, Header, Polarity, Segment
from danmatte.tracks.writer import TrackWriter

__all__ = [
    "Entry",
    "Format",
    "Header",
    "Polarity",
    "Segment",
    "TrackReader",
    "TrackWriter",
    "mattes",
    "webmask",
]
