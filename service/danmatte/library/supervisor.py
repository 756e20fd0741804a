"""One unit's way: attempts in a process of its own, until there is a track or there were enough of them."""

from typing import Protocol

import msgspec

from danmatte.errors import LostWorkerError, ServiceError
from danmatte.library.attempts import AttemptLog
from danmatte.library.library import Library, Unit
from danmatte.library.result import UnitResult
from danmatte.library.storage import open_storage


class UnitMaker(Protocol):
    """What makes a unit, and may break off at it."""

    def make(self, unit: Unit) -> UnitResult:
        """Makes a unit; raises LostWorkerError where that broke off, other ServiceErrors where none can be made."""

    def close(self) -> None:
        """Ends what is under way; called from another thread."""


class UnitSupervisor:
    """Has units made one after another, and counts their attempts in the target."""

    def __init__(self, library: Library, maker: UnitMaker) -> None:
        self._library, self._maker = library, maker
        self._log = AttemptLog(library, open_storage(library.target))
        self._stopped = False

    def run(self, unit: Unit) -> UnitResult:
        """What became of the unit. Raises ServiceError where no unit could be made, and where it was stopped."""
        while (number := self._log.begin(unit)) is not None:
            try:
                result = self._maker.make(unit)
            except ServiceError as error:
                if self._stopped or not isinstance(error, LostWorkerError):  # not for anything that the video has done
                    self._log.forget(unit, number)
                    raise
                self._log.fail(unit, number, str(error))
            else:
                for each in range(1, number + 1):
                    self._log.forget(unit, each)
                return msgspec.structs.replace(result, attempts=number)
        limit = self._library.max_attempts
        reason = self._log.read_reason(unit, limit)
        track = unit.name_track(self._library.suffix)
        return UnitResult(
            "given up", unit.video, track, attempts=limit, reason=reason, part=unit.part, size_bytes=unit.share_bytes
        )

    def stop(self) -> None:
        """Ends the work under way; may be called from another thread."""
        self._stopped = True
        self._maker.close()
