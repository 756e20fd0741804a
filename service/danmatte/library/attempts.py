"""Attempts at units, stored in the target so that they count for every machine and every run."""

import json
from collections import Counter

from danmatte.errors import StorageError
from danmatte.library.library import PRIVATE, Library, Unit
from danmatte.library.storage import Storage

_FOLDER = f"{PRIVATE}/attempts"
_LOST = "its worker was lost"  # the initial reason, because a worker that is killed can't write one


class AttemptLog:
    """A log of the attempts that haven't succeeded: a file for each, with the reason.

    The file is written before the attempt begins and says at first that the worker was lost. If a worker or its machine
    disappears, this reason remains; otherwise it is replaced.
    """

    def __init__(self, library: Library, target: Storage) -> None:
        self._limit, self._target = library.max_attempts, target

    def count_all(self) -> Counter[str]:
        """Return the number of attempts at each unit, by its key."""
        names = (file.name.removeprefix(f"{_FOLDER}/") for file in self._target.list_files(_FOLDER))
        return Counter(name.partition(".")[0] for name in names)

    def begin(self, unit: Unit) -> int | None:
        """Begin an attempt and return its number, from 1 on; None if the maximum is reached."""
        for number in range(unit.attempts + 1, self._limit + 1):
            try:
                self._target.create(_name(unit, number), _encode_reason(_LOST))
            except FileExistsError:  # another worker has begun this attempt
                continue
            return number
        return None

    def fail(self, unit: Unit, number: int, reason: str) -> None:
        """Store why an attempt failed."""
        self._target.put(_name(unit, number), _encode_reason(reason))

    def forget(self, unit: Unit, number: int) -> None:
        """Delete an attempt that succeeded or was stopped on purpose, so that it doesn't count."""
        self._target.remove(_name(unit, number))

    def read_reason(self, unit: Unit, number: int) -> str:
        """Return why an attempt failed."""
        try:
            return str(json.loads(self._target.read(_name(unit, number)))["reason"])
        except (StorageError, ValueError, KeyError, TypeError):
            return _LOST


def _name(unit: Unit, number: int) -> str:
    return f"{_FOLDER}/{unit.key}.{number}.json"


def _encode_reason(reason: str) -> bytes:
    return json.dumps({"reason": reason}).encode()
