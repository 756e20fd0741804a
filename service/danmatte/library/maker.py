"""The maker of a unit's track, from the source to the target, with one network."""

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import cv2
import msgspec

from danmatte.engine import Served
from danmatte.errors import StorageError
from danmatte.library.borders import find_span
from danmatte.library.library import Library, Unit
from danmatte.library.observations import PartWatch
from danmatte.library.parts import PartFacts, decode_part, encode_part, join_parts, list_part_names, name_part
from danmatte.library.place import open_storage
from danmatte.library.result import State, UnitResult
from danmatte.library.verdicts import VerdictMaker
from danmatte.quality.assess import Assessment
from danmatte.quality.assessment import VideoQuality
from danmatte.quality.judge import Judge
from danmatte.quality.summary import FilmFacts
from danmatte.tracks.batch import make_pipeline
from danmatte.tracks.film import describe_film
from danmatte.tracks.tally import Tally
from danmatte.tracks.track import TrackHeader, find_format
from danmatte.tracks.writer import TrackWriter
from danmatte.video.reader import Video

_PART_SUFFIX = ".mattes"  # because it stores everything about a mask, whatever the track's format is


class TrackMaker:
    """A maker of units, one after another, in the calling process."""

    def __init__(self, library: Library, served: Served, judge: Judge | None = None) -> None:
        """`judge` is required if the library's videos are judged."""
        cv2.setNumThreads(1)  # because every stage already has its own thread
        self._library, self._served = library, served
        self._source, self._target = open_storage(library.source), open_storage(library.target)
        self._pipeline = make_pipeline(served)
        self._verdicts: VerdictMaker | None = None
        if library.judging and judge:
            self._verdicts = VerdictMaker(library, library.judging, self._target, judge)

    def make(self, unit: Unit, report: Callable[[Tally], object]) -> UnitResult:
        """Make a unit's track and verdict unless they exist; calls `report` as long as there is progress.

        For a video in parts, it makes the unit's part, and joins all parts if no other one is missing. Raises
        ServiceError and OSError if that fails.
        """
        if self._target.has(unit.name_track(self._library.suffix)):
            return self._keep(unit, report)
        if unit.parts == 1:
            return self._make_whole(unit, report)
        state: State = "kept"
        if not self._target.has(name_part(unit)):
            state = "made"
            self._make_part(unit, report)
        if all(map(self._target.has, list_part_names(unit))):
            return self._join(unit, report)
        return UnitResult(state, unit.video, "", part=unit.part, size_bytes=unit.share_bytes)

    def _keep(self, unit: Unit, report: Callable[[Tally], object]) -> UnitResult:
        """Keep an existing track; make its verdict if it is missing."""
        verdicts, kept = self._verdicts, self._describe("kept", unit)
        if verdicts is None or unit.number or verdicts.has(unit):
            return kept
        with self._open(unit, report) as video:
            return self._judge(kept, verdicts.judge(unit, video, report))

    def _make_whole(self, unit: Unit, report: Callable[[Tally], object]) -> UnitResult:
        with self._open(unit, report) as video, self._watch(video) as assessment, _make_folder() as folder:
            path = Path(folder, f"track{self._library.suffix}")
            plan, observer = self._library.options.plan(video.shown), assessment.watch if assessment else None
            with TrackWriter(path, self._describe_header(video, path)) as writer:
                tally = asyncio.run(self._pipeline.run(video, plan, writer, report, observer))
                digest = self._source.compute_digest(unit.video, partial(report, tally))
                writer.describe_film(describe_film(video, digest, video.ended_ms))
            result = self._store(unit, path, tally, video.broken)
            if self._verdicts and assessment:
                return self._judge(result, self._verdicts.conclude(unit, assessment, path))
            return result

    def _make_part(self, unit: Unit, report: Callable[[Tally], object]) -> None:
        with self._open(unit, report) as video, self._watch(video) as assessment, _make_folder() as folder:
            path = Path(folder, f"part{_PART_SUFFIX}")
            plan = self._library.options.plan(video.shown)
            observer = PartWatch(assessment.watch) if assessment else None
            span, facts, track = find_span(video, plan, unit), PartFacts(), b""
            if span is not None:
                with TrackWriter(path, self._describe_header(video, path)) as writer:
                    tally = asyncio.run(self._pipeline.run(video, replace(plan, span=span), writer, report, observer))
                facts = PartFacts(
                    **asdict(tally), ended_ms=video.ended_ms, bad_packets=video.bad_packets, broken=video.broken
                )
                track = path.read_bytes()
            seen = observer.finish() if observer else b""
        self._check_revision(unit)
        if self._verdicts:
            self._verdicts.keep_part(unit, seen)
        try:
            self._target.create(name_part(unit), encode_part(facts, track))
        except FileExistsError:
            return  # another worker has made the same part

    def _join(self, unit: Unit, report: Callable[[Tally], object]) -> UnitResult:
        names = list_part_names(unit)
        parts = [decode_part(self._target.read(name), name) for name in names]
        bad = sum(facts.bad_packets for facts, _ in parts)
        broken = parts[-1][0].broken or (f"{bad} packets couldn't be decoded" if bad else "")
        with self._open(unit, report) as video, _make_folder() as folder:
            path = Path(folder, f"track{self._library.suffix}")
            with TrackWriter(path, self._describe_header(video, path)) as writer:
                tally = join_parts(parts, writer)
                ended_ms = max(facts.ended_ms for facts, _ in parts)
                digest = self._source.compute_digest(unit.video, partial(report, tally))
                writer.describe_film(describe_film(video, digest, ended_ms))
            result = self._store(unit, path, tally, broken)
            if self._verdicts:
                film = FilmFacts(unit.video, str(video.shown), max(ended_ms, video.end_ms or 0), broken)
                quality = self._verdicts.conclude_parts(unit, film, path) or self._verdicts.judge(unit, video, report)
                result = self._judge(result, quality)
                self._verdicts.remove_parts(unit)
        for name in names:
            self._target.remove(name)
        return result

    def _watch(self, video: Video) -> AbstractContextManager[Assessment | None]:
        return self._verdicts.watch(video) if self._verdicts else nullcontext()

    def _judge(self, result: UnitResult, quality: VideoQuality) -> UnitResult:
        """Return the result with its verdict; the state is `judged` if only the verdict is new."""
        state: State = "judged" if result.state == "kept" else result.state
        return msgspec.structs.replace(result, state=state, grade=quality.grade, score=quality.score)

    def _open(self, unit: Unit, report: Callable[[Tally], object]) -> Video:
        self._check_revision(unit)
        video = self._source.open_video(unit.video, self._library.options.clock)
        # Reported for every decoded frame, because the search for a border reports nothing else for a long time.
        video.note_frame = partial(report, Tally())
        return video

    def _describe_header(self, video: Video, path: Path) -> TrackHeader:
        manifest = self._served.manifest
        size = self._library.options.plan(video.shown).size
        return TrackHeader(size, find_format(path).polarity, manifest.name, manifest.version)

    def _store(self, unit: Unit, path: Path, tally: Tally, broken: str) -> UnitResult:
        self._check_revision(unit)
        try:
            self._target.create(unit.name_track(self._library.suffix), path.read_bytes())
        except FileExistsError:  # another worker has made the same track
            return self._describe("kept", unit)
        return self._describe("broken" if broken else "made", unit, tally, broken)

    def _check_revision(self, unit: Unit) -> None:
        if self._source.describe(unit.video).revision != unit.revision:
            raise StorageError(f"{unit.video}: expected the video that was listed, but it has changed")

    def _describe(self, state: State, unit: Unit, tally: Tally | None = None, reason: str = "") -> UnitResult:
        tally = tally or Tally()
        return UnitResult(
            state=state,
            video=unit.video,
            track=unit.name_track(self._library.suffix),
            part=unit.part,
            reason=reason,
            masks=tally.masks,
            inferred=tally.inferred,
            held=tally.held,
            cuts=tally.cuts,
            until_ms=tally.last_ms,
            size_bytes=unit.share_bytes,
            verdict=self._library.name_verdict(unit),
        )


def _make_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder for an unfinished track."""
    return tempfile.TemporaryDirectory(prefix="danmatte-")
