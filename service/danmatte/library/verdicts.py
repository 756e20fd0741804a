"""Verdicts on the quality of a library's videos, from the same decoding as their tracks."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from danmatte.library.judging import Judging
from danmatte.library.library import Library, Unit
from danmatte.library.observations import decode_seen, join_seen, list_seen_names, name_seen
from danmatte.library.storage import Storage
from danmatte.library.summary import encode_line
from danmatte.quality.assess import Assessment, AssessOptions
from danmatte.quality.assessment import VideoQuality
from danmatte.quality.companion import count_people
from danmatte.quality.judge import Judge
from danmatte.quality.people import People
from danmatte.quality.summary import FilmFacts, summarize
from danmatte.tracks.selection import limit_rate
from danmatte.tracks.tally import Tally
from danmatte.video.motion import CutDetector
from danmatte.video.reader import Video

_THREADS = 1  # leaves the other cores to the masks


class VerdictMaker:
    """A maker of verdicts on the videos of units, which are stored beside their tracks."""

    def __init__(self, library: Library, judging: Judging, target: Storage, judge: Judge) -> None:
        self._library, self._judging, self._target, self._judge = library, judging, target, judge
        self._options = AssessOptions()

    def has(self, unit: Unit) -> bool:
        """Return whether the verdict on the unit's video exists."""
        return self._target.has(self._name(unit))

    def watch(self, video: Video) -> Assessment:
        """Return the assessment of a video that is about to be decoded."""
        return Assessment(video, self._options, self._judge, threads=_THREADS)

    def keep_part(self, unit: Unit, seen: bytes) -> None:
        """Store the observations of a part until all parts exist."""
        self._create(name_seen(unit, self._judging.digest(unit.digest)), seen)

    def conclude(self, unit: Unit, assessment: Assessment, track: Path) -> VideoQuality:
        """Store and return the verdict on a video that was watched completely. Raises ServiceError."""
        return self._store(unit, assessment.conclude(self._count_people(track)))

    def conclude_parts(self, unit: Unit, film: FilmFacts, track: Path) -> VideoQuality | None:
        """Store and return the verdict from the parts' observations; None if any is missing. Raises ServiceError."""
        names = self._list_seen(unit)
        if not all(map(self._target.has, names)):
            return None
        seen = join_seen([decode_seen(self._target.read(name), name) for name in names], self._options.fps)
        seen.people.update(self._count_people(track))
        return self._store(unit, summarize(seen, film, self._judge.name, 0.0))

    def judge(self, unit: Unit, video: Video, report: Callable[[Tally], object]) -> VideoQuality:
        """Decode a video that has a track again; store and return its verdict. Raises ServiceError and OSError."""
        plan, tally, cuts = self._library.options.plan(video.shown), Tally(), CutDetector()
        with self.watch(video) as assessment, self._fetch_track(unit) as track:
            for frame in limit_rate(video.read_frames(), plan.fps):
                grey = frame.to_grey(plan.working)
                assessment.watch.observe(frame, grey, cut=cuts.step(grey))
                report(tally)
            return self.conclude(unit, assessment, track)

    def remove_parts(self, unit: Unit) -> None:
        """Remove the parts' observations, which aren't needed once the verdict exists."""
        for name in self._list_seen(unit):
            self._target.remove(name)

    def _store(self, unit: Unit, quality: VideoQuality) -> VideoQuality:
        """Store a verdict; its bytes depend only on the video and on what its name's digest covers, not on time."""
        found = msgspec.to_builtins(msgspec.structs.replace(quality, video=unit.video))
        del found["seconds"]
        self._create(self._name(unit), msgspec.json.format(encode_line(found), indent=2) + b"\n")
        return quality

    def _create(self, name: str, data: bytes) -> None:
        try:
            self._target.create(name, data)
        except FileExistsError:
            return  # another worker has stored the same verdict

    def _count_people(self, track: Path) -> dict[int, People]:
        """Return the people in a track, by second; none if regions were chosen, which may not show people."""
        return {} if self._library.options.regions else count_people(track)

    @contextmanager
    def _fetch_track(self, unit: Unit) -> Iterator[Path]:
        suffix = self._library.suffix
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(self._target.read(unit.name_track(suffix)))
            file.flush()
            yield Path(file.name)

    def _list_seen(self, unit: Unit) -> list[str]:
        return list_seen_names(unit, self._judging.digest(unit.digest))

    def _name(self, unit: Unit) -> str:
        return self._judging.name_verdict(unit.video, unit.digest)
