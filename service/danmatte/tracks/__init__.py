"""Mask tracks of whole videos: how they are made, read, written and converted. Each format is a file in `formats`."""

from danmatte.tracks import formats as formats
from danmatte.tracks.reader import TrackReader
from danmatte.tracks.track import Entry, Film, Format, Polarity, Segment, TrackHeader
from danmatte.tracks.writer import TrackWriter

__all__ = ["Entry", "Film", "Format", "Polarity", "Segment", "TrackHeader", "TrackReader", "TrackWriter"]
