"""The borders between parts of a long video: at cuts if possible, because no state is carried across a cut.

Each part finds its borders itself. Both parts at a border find the same one, because they examine the same frames.
"""

from typing import NamedTuple

from danmatte.library.library import Unit
from danmatte.tracks.selection import Span, TrackPlan, limit_rate
from danmatte.video.motion import CutDetector
from danmatte.video.reader import Video

_WINDOW_MS = 20_000  # how far after its nominal place a border may be, in search of a cut
_LEAD_MS = 1000  # examined before a border, because detecting a cut needs earlier frames
_WARM_MS = 10_000  # computed before a border without a cut; then masks and held frames equal the undivided video's


class Border(NamedTuple):
    """The first frame after a border, and whether a scene begins with it."""

    pts_ms: int
    is_cut: bool


def find_span(video: Video, plan: TrackPlan, unit: Unit) -> Span | None:
    """Return the span of the video that the unit covers; None if it contains no frame.

    A video without a stated duration isn't divided: the first part covers all of it.
    """
    end_ms = video.end_ms
    if unit.parts == 1 or not end_ms:
        return Span() if unit.number == 0 else None
    part_ms = end_ms / unit.parts
    window_ms = min(_WINDOW_MS, part_ms)
    begin, until = Border(0, False), None
    if unit.number:
        found = _find_border(video, plan, unit.number * part_ms, window_ms)
        if found is None:
            return None
        begin = found
    if unit.number + 1 < unit.parts:
        until = _find_border(video, plan, (unit.number + 1) * part_ms, window_ms)
        if until is not None and until.pts_ms <= begin.pts_ms:
            return None
    warm_ms = begin.pts_ms - (_LEAD_MS if begin.is_cut else _WARM_MS)
    return Span(begin.pts_ms, None if until is None else until.pts_ms, max(0, warm_ms))


def _find_border(video: Video, plan: TrackPlan, place_ms: float, window_ms: float) -> Border | None:
    """Return the first cut in the window that starts at a place, otherwise its end; None if the video ends earlier."""
    cuts = CutDetector()
    for frame in limit_rate(video.read_frames(max(0, round(place_ms) - _LEAD_MS)), plan.fps):
        is_cut = cuts.step(frame.to_grey(plan.working))
        if frame.pts_ms >= place_ms + window_ms or (is_cut and frame.pts_ms >= place_ms):
            return Border(frame.pts_ms, is_cut)
    return None
