"""One unit's way: attempts in a process of its own, until there is a track or there were enough of them."""

import threading
from typing import Protocol

import msgspec

from danmatte.errors import LostWorkerError, ServiceError, StorageError
from danmatte.library.attempts import AttemptLog
from danmatte.library.library import Library, Unit
from danmatte.library.place import open_storage
from danmatte.library.result import State, UnitResult

_PAUSE_S = 2.0  # until a place is tried again, at first; then twice as long each time


class UnitMaker(Protocol):
    """What makes a unit, and may break off at it."""

    def make(self, unit: Unit) -> UnitResult:
        """Makes a unit.

        Raises LostWorkerError where that broke off, StorageError where a place failed, and other ServiceErrors where
        none can be made.
        """

    def close(self) -> None:
        """Ends what is under way; called from another thread."""


class UnitSupervisor:
    """Has units made one after another, and counts their attempts in the target."""

    def __init__(self, library: Library, maker: UnitMaker) -> None:
        self._library, self._maker = library, maker
        self._log = AttemptLog(library, open_storage(library.target))
        self._stopped = threading.Event()

    def run(self, unit: Unit) -> UnitResult:
        """What became of the unit. Raises ServiceError where no unit could be made, and where it was stopped."""
        refused = 0
        while (number := self._log.begin(unit)) is not None:
            try:
                result = self._maker.make(unit)
            except LostWorkerError as error:
                if self._stopped.is_set():
                    self._log.forget(unit, number)
                    raise
                self._log.fail(unit, number, str(error))
            except ServiceError as error:
                self._log.forget(unit, number)  # not for anything that the video has done
                refused += 1
                if self._stopped.is_set() or not isinstance(error, StorageError):
                    raise
                if refused == self._library.max_attempts:
                    return self._tell("postponed", unit, str(error))
                self._stopped.wait(_PAUSE_S * 2 ** (refused - 1))
            else:
                for each in range(1, number + 1):
                    self._log.forget(unit, each)
                return msgspec.structs.replace(result, attempts=number)
        return self._tell("given up", unit, self._log.read_reason(unit, self._library.max_attempts))

    def stop(self) -> None:
        """Ends the work under way; may be called from another thread."""
        self._stopped.set()
        self._maker.close()

    def _tell(self, state: State, unit: Unit, reason: str) -> UnitResult:
        return UnitResult(
            state,
            unit.video,
            unit.name_track(self._library.suffix),
            attempts=self._library.max_attempts,
            reason=reason,
            part=unit.part,
            size_bytes=unit.share_bytes,
        )
