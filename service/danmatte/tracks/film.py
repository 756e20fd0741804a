"""The facts that a track stores about its film."""

from danmatte.tracks.track import MAX_SECTIONS, Film
from danmatte.video.reader import Video


def describe_film(video: Video, sha256: str, ended_ms: int) -> Film:
    """Return a video's facts; `sha256` is the file's digest in hexadecimal, `ended_ms` the end of its last frame."""
    end_ms = max(ended_ms, video.end_ms or 0)
    return Film(
        sha256=sha256,
        clock=video.clock,
        width=video.shown.width,
        height=video.shown.height,
        pixel_ratio=(video.pixel_ratio.numerator, video.pixel_ratio.denominator),
        first_ms=video.first_ms,
        end_ms=end_ms,
        file_end_ms=video.file_end_ms if (video.file_end_ms or 0) > end_ms else None,
        coded_ms=video.coded_ms,
        origin_ms=video.origin_ms,
        sections=tuple(video.sections[:MAX_SECTIONS]),
        scripted_ms=video.scripted_ms if video.sections else None,
        date_ms=video.date_ms,
        orientation=video.orientation.name_steps(),
    )
