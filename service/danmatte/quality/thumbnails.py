"""Small pictures of a video's worst frames, read once it is known which those are: nothing of the others is kept."""

from collections.abc import Iterable
from pathlib import Path

from danmatte.errors import TrackError
from danmatte.frame import Pixels, Size
from danmatte.video.reader import Video

_LONGEST = 240  # pixels of the longer side


def read_thumbnails(path: Path, times_ms: Iterable[int]) -> dict[int, Pixels]:
    """The frames at these times, (H, W, 3) uint8 RGB by time; without those that can't be read again."""
    found = dict[int, Pixels]()
    try:
        with Video(path) as video:
            size = _shrink(video.shown)
            for time_ms in sorted(times_ms):
                if (frame := next(video.read_frames(time_ms), None)) is not None:
                    found[time_ms] = frame.to_colours(size, "RGB")
    except (TrackError, OSError):  # gone or changed since: a page without a picture is better than none
        pass
    return found


def _shrink(size: Size) -> Size:
    share = min(1.0, _LONGEST / max(size))
    return Size(*(max(1, round(side * share)) for side in size))
