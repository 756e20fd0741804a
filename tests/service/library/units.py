"""Libraries of small files, and fakes of workers."""

from pathlib import Path
from queue import SimpleQueue

from danmatte.errors import LostWorkerError
from danmatte.library.executor import Executor
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult

DIGEST = "0123456789abcdef0123456789abcdef"


def make_library(folder: Path, **options: object) -> Library:
    """Return the library of a folder's `videos`, with its `tracks`."""
    return Library(str(folder / "videos"), str(folder / "tracks"), folder / "models", **options)  # type: ignore[arg-type]


def fill(folder: Path, *names: str) -> None:
    """Write files with names of videos."""
    for name in names:
        path = folder / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


class ScriptedMaker:
    """A maker with scripted outcomes: a reason fails an attempt, None lets it succeed."""

    def __init__(self, *reasons: str | Exception | None) -> None:
        self._reasons = list(reasons)
        self.seen, self.closed = list[Unit](), False

    def make(self, unit: Unit) -> UnitResult:
        self.seen.append(unit)
        reason = self._reasons.pop(0) if self._reasons else None
        if isinstance(reason, Exception):
            raise reason
        if reason is not None:
            raise LostWorkerError(reason)
        return UnitResult("made", unit.video, unit.name_track(".mattes"), masks=10, size_bytes=unit.size_bytes)

    def close(self) -> None:
        self.closed = True


class ImmediateExecutor(Executor):
    """An executor that makes every unit immediately and stores the maximum of waiting units."""

    def __init__(self, capacity: int = 2) -> None:
        self.capacity, self.most = capacity, 0
        self.units, self.closed = list[Unit](), False
        self._results: SimpleQueue[UnitResult] = SimpleQueue()

    def submit(self, unit: Unit) -> None:
        self.units.append(unit)
        self._results.put(UnitResult("made", unit.video, "", size_bytes=unit.size_bytes))
        self.most = max(self.most, self._results.qsize())

    def wait(self, patience_s: float) -> UnitResult | None:
        return self._results.get(timeout=patience_s)

    def close(self) -> None:
        self.closed = True
