"""Small pictures of a video's worst frames, read after the assessment so that other frames needn't be kept."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from danmatte.errors import TrackError
from danmatte.frame import Pixels, Size
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.reader import Video

_MAX_SIDE = 240  # pixels of the longer side


def read_thumbnails(path: Path, times_ms: Iterable[int]) -> dict[int, Pixels]:
    """Return the frames at these times, (H, W, 3) uint8 RGB by time, except those that can't be read again."""
    found = dict[int, Pixels]()
    try:
        with Video(path) as video:
            size = _shrink(video.shown)
            for time_ms, frame in _find_frames(video, sorted(times_ms)):
                found[time_ms] = frame.to_colours(size, "RGB")
    except (TrackError, OSError):  # the file was deleted or changed; a page without pictures is better than no page
        pass
    return found


def _find_frames(video: Video, times_ms: list[int]) -> Iterator[tuple[int, DecodedFrame]]:
    """Yield each time and the first frame from it on; reads the file once if it can't seek."""
    frames = video.read_frames(times_ms[0]) if times_ms else iter(())
    for time_ms in times_ms:
        if video.may_seek:
            frames = video.read_frames(time_ms)
        if frame := next((each for each in frames if each.pts_ms >= time_ms), None):
            yield time_ms, frame


def _shrink(size: Size) -> Size:
    share = min(1.0, _MAX_SIDE / max(size))
    return Size(*(max(1, round(side * share)) for side in size))
