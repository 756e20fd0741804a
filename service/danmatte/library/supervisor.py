"""The supervisor of a worker, which retries each unit until it succeeds or the maximum of attempts is reached."""

import threading
from typing import Protocol

import msgspec

from danmatte.errors import LostWorkerError, ServiceError, StorageError
from danmatte.library.attempts import AttemptLog
from danmatte.library.library import Library, Unit
from danmatte.library.place import open_storage
from danmatte.library.result import State, UnitResult

_PAUSE_S = 2.0  # before the first retry after a storage failure; doubled each time


class UnitMaker(Protocol):
    """A maker of units, which may fail."""

    def make(self, unit: Unit) -> UnitResult:
        """Make a unit.

        Raises LostWorkerError if it failed, StorageError if the storage failed, and other ServiceErrors if no unit can
        be made.
        """

    def close(self) -> None:
        """Stop the unfinished unit; called from another thread."""


class UnitSupervisor:
    """A supervisor of one maker, which makes one unit after another and counts attempts in the target."""

    def __init__(self, library: Library, maker: UnitMaker) -> None:
        self._library, self._maker = library, maker
        self._log = AttemptLog(library, open_storage(library.target))
        self._stopped = threading.Event()

    def run(self, unit: Unit) -> UnitResult:
        """Make a unit and return its result. Raises ServiceError if no unit can be made, or if it was stopped."""
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
                self._log.forget(unit, number)  # because the video didn't cause the failure
                refused += 1
                if self._stopped.is_set() or not isinstance(error, StorageError):
                    raise
                if refused == self._library.max_attempts:
                    return self._describe("postponed", unit, str(error))
                self._stopped.wait(_PAUSE_S * 2 ** (refused - 1))
            else:
                for each in range(1, number + 1):
                    self._log.forget(unit, each)
                return msgspec.structs.replace(result, attempts=number)
        return self._describe("given up", unit, self._log.read_reason(unit, self._library.max_attempts))

    def stop(self) -> None:
        """Stop the unfinished unit; may be called from another thread."""
        self._stopped.set()
        self._maker.close()

    def _describe(self, state: State, unit: Unit, reason: str) -> UnitResult:
        return UnitResult(
            state,
            unit.video,
            unit.name_track(self._library.suffix),
            attempts=self._library.max_attempts,
            reason=reason,
            part=unit.part,
            size_bytes=unit.share_bytes,
        )
