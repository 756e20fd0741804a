"""Verdicts on videos whose tracks are made: from the same decoding, written to a file beside the track."""

from pathlib import Path, PurePath

import msgspec

from danmatte.contract.command_line import write_json
from danmatte.contract.whole_files import cut_name
from danmatte.quality.assess import NOBODY_COUNTED, Assessment, AssessOptions, assess_video
from danmatte.quality.assessment import VideoQuality
from danmatte.quality.judge import Judge
from danmatte.quality.people import People, measure_people
from danmatte.tracks.reader import TrackReader
from danmatte.tracks.selection import FrameObserver
from danmatte.video.reader import Video

SUFFIX = ".quality.json"
_THREADS = 1  # leaves the other cores to the masks


class Companion:
    """The assessments of videos whose tracks are made, several at once: `watch` one, then `conclude` or `forget` it.

    People are measured in the track's own masks; set `counts_people` to false if these show something else.
    """

    def __init__(self, judge: Judge, options: AssessOptions | None = None, *, counts_people: bool = True) -> None:
        self._judge, self._options, self._counts_people = judge, options or AssessOptions(), counts_people
        self._open: dict[PurePath, Assessment] = {}

    def watch(self, video: Video) -> FrameObserver:
        """Return the observer of a video that is about to be decoded."""
        self.forget(video.path)
        assessment = Assessment(video, self._options, self._judge, threads=_THREADS)
        self._open[video.path] = assessment.__enter__()
        return assessment.watch

    def forget(self, video: PurePath) -> None:
        """Discard the assessment of a video that has no track."""
        if assessment := self._open.pop(video, None):
            assessment.__exit__()

    def conclude(self, video: Path, track: Path, *, whole: bool) -> VideoQuality:
        """Return the verdict on a video whose track is finished.

        The video is decoded again unless it was watched from its first frame to its last; `whole` is false if its track
        was resumed after an interruption. Raises ServiceError and OSError.
        """
        people = count_people(track) if self._counts_people else NOBODY_COUNTED
        try:
            if whole and video in self._open:
                return self._open[video].conclude(people)
            return assess_video(video, self._options, self._judge, people=people)
        finally:
            self.forget(video)


def name_verdict(track: Path) -> Path:
    """Return the path of the verdict on a track's video."""
    return track.with_name(cut_name(track.stem, SUFFIX))


def write_verdict(found: VideoQuality, target: Path) -> None:
    """Write a verdict as JSON, atomically. Raises OSError."""
    write_json(msgspec.to_builtins(found), target)


def count_people(track: Path) -> dict[int, People]:
    """Return the people in the first mask of every second of a track, by second. Raises TrackError."""
    found: dict[int, People] = {}
    with TrackReader(track) as entries:
        for entry in entries:
            if (second := entry.pts_ms // 1000) not in found:
                found[second] = measure_people(entry.mask)
    return found
