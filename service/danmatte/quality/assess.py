"""Assessment of whole videos, one after another or while they are decoded for another purpose."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2

from danmatte.contract.cores import count_cores
from danmatte.contract.framing import Framing
from danmatte.engine import Served
from danmatte.errors import InvalidParameterError, ServiceError
from danmatte.frame import Bits, Frame
from danmatte.quality.assessment import FailedAssessment, VideoQuality
from danmatte.quality.judge import Judge
from danmatte.quality.people import People
from danmatte.quality.summary import FilmFacts, summarize
from danmatte.quality.watch import QualityWatch
from danmatte.tracks.selection import TrackPlan, choose_mask_size
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.motion import CutDetector
from danmatte.video.reader import Video

FPS = 2.0
NOBODY_COUNTED: Mapping[int, People] = {}


@dataclass(frozen=True)
class AssessOptions:
    """Options of an assessment; at most `fps` frames per second are judged. Raises InvalidParameterError."""

    fps: float = FPS

    def __post_init__(self) -> None:
        if not 0 < self.fps <= 1000:
            raise InvalidParameterError(f"fps: expected more than 0 and at most 1000, received {self.fps}")


def assess_videos(
    paths: Sequence[Path], options: AssessOptions, judge: Judge, masks: Served | None
) -> Iterator[VideoQuality | FailedAssessment]:
    """Yield the verdict on every video, in order; a video that can't be assessed gets a `FailedAssessment`.

    `masks` is the model that finds people; without it, verdicts say nothing about people.
    """
    cv2.setNumThreads(1)  # because samples are already judged in several threads
    for path in paths:
        try:
            yield assess_video(path, options, judge, masks)
        except (ServiceError, OSError) as error:
            yield FailedAssessment(str(path), str(error))


def assess_video(
    path: Path,
    options: AssessOptions,
    judge: Judge,
    masks: Served | None = None,
    *,
    people: Mapping[int, People] = NOBODY_COUNTED,
) -> VideoQuality:
    """Return the verdict on one video. Raises ServiceError and OSError.

    `masks` is the model that finds people. `people`, by second, replaces what it finds; without a model, the verdict
    uses only `people`.
    """
    with Video(path) as video:
        ask = ask_masks(masks, video) if masks else None
        with Assessment(video, options, judge, threads=count_cores(), ask_masks=ask) as assessment:
            cuts, working = CutDetector(), TrackPlan(choose_mask_size(video.shown)).working
            for frame in video.read_frames():
                grey = frame.to_grey(working)
                assessment.watch.observe(frame, grey, cut=cuts.step(grey))
            return assessment.conclude(people)


class Assessment:
    """The assessment of an open video; the caller that reads its frames passes each one to `watch`.

    It is a context manager; call `conclude` within it after the last frame.
    """

    def __init__(
        self,
        video: Video,
        options: AssessOptions,
        judge: Judge,
        *,
        threads: int,
        ask_masks: Callable[[DecodedFrame], Callable[[], Bits]] | None = None,
    ) -> None:
        self._video, self._judge, self._began = video, judge, time.monotonic()
        self._stated_end_ms = video.end_ms or 0  # read now because the video may be closed before the verdict
        self.watch = QualityWatch(judge, fps=options.fps, threads=threads, ask_masks=ask_masks)

    def __enter__(self) -> "Assessment":
        self.watch.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self.watch.__exit__(None, None, None)

    def conclude(self, people: Mapping[int, People] = NOBODY_COUNTED) -> VideoQuality:
        """Return the verdict; `people`, by second, replaces what the watch has counted. Raises EngineError."""
        video, seen = self._video, self.watch.finish()
        seen.people.update(people)
        film = FilmFacts(str(video.path), str(video.shown), max(video.ended_ms, self._stated_end_ms), video.broken)
        return summarize(seen, film, self._judge.name, time.monotonic() - self._began)


def ask_masks(served: Served, video: Video) -> Callable[[DecodedFrame], Callable[[], Bits]]:
    """Return a function that prepares a frame's mask.

    It reads the frame's pixels immediately, in the decoding thread, and returns a function that computes the mask in
    any thread.
    """
    manifest = served.manifest
    framing, size = Framing.of(manifest), choose_mask_size(video.shown)
    scaled, order = framing.scale_size(video.size), manifest.picture.colour

    def ask(frame: DecodedFrame) -> Callable[[], Bits]:
        picture = framing.fit(Frame(frame.to_colours(scaled, order), scaled))

        def make_mask() -> Bits:
            values = served.engine.infer(picture)[0]
            return framing.compute_mask(values, manifest.regions.grid, size, video.size) >= 0.5

        return make_mask

    return ask
