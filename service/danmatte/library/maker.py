"""Makes the track of a unit: from the source to the target, with one network."""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2

from danmatte.engine import Served
from danmatte.errors import StorageError
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult
from danmatte.library.storage import open_storage
from danmatte.tracks.batch import make_pipeline
from danmatte.tracks.film import describe_film
from danmatte.tracks.tally import Tally
from danmatte.tracks.track import TrackHeader, find_format
from danmatte.tracks.writer import TrackWriter


class TrackMaker:
    """Makes units one after another, in the process and with the cores that it is called in."""

    def __init__(self, library: Library, served: Served) -> None:
        cv2.setNumThreads(1)  # every stage has a thread already
        self._library, self._served = library, served
        self._source, self._target = open_storage(library.source), open_storage(library.target)
        self._pipeline = make_pipeline(served)

    def make(self, unit: Unit, report: Callable[[Tally], object]) -> UnitResult:
        """Makes a unit's track unless it is there; calls `report` after every frame.

        Raises ServiceError and OSError where there will be none.
        """
        track = unit.name_track(self._library.suffix)
        if self._target.has(track):
            return UnitResult("kept", unit.video, track, size_bytes=unit.size_bytes)
        with tempfile.TemporaryDirectory(prefix="danmatte-") as folder:
            path = Path(folder, f"track{self._library.suffix}")
            result = self._write_track(unit, path, report)
            if self._source.describe(unit.video).revision != unit.revision:
                raise StorageError(f"{unit.video}: expected the video that was listed; it changed")
            try:
                self._target.create(track, path.read_bytes())
            except FileExistsError:  # somebody else was as fast
                return UnitResult("kept", unit.video, track, size_bytes=unit.size_bytes)
        return result

    def _write_track(self, unit: Unit, path: Path, report: Callable[[Tally], object]) -> UnitResult:
        options, manifest = self._library.options, self._served.manifest
        with self._source.open_video(unit.video, options.clock) as video:
            plan = options.plan(video.shown)
            header = TrackHeader(plan.size, find_format(path).polarity, manifest.name, manifest.version)
            with TrackWriter(path, header) as writer:
                tally = asyncio.run(self._pipeline.run(video, plan, writer, report))
                writer.describe_film(describe_film(video, self._source.compute_digest(unit.video)))
        return UnitResult(
            state="broken" if video.broken else "made",
            video=unit.video,
            track=unit.name_track(self._library.suffix),
            reason=video.broken,
            masks=tally.masks,
            inferred=tally.inferred,
            held=tally.held,
            cuts=tally.cuts,
            until_ms=tally.last_ms,
            size_bytes=unit.size_bytes,
        )
