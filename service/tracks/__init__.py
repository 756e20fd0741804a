"""Mask tracks of whole videos, one file a format."""

from service.tracks import mattes, webmask
from service.tracks.reader import TrackReader
from service.tracks.track import Entry, Format, Header, Polarity, Segment
from service.tracks.writer import TrackWriter

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
