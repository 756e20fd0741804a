"""Attempts at units, kept in the target, so that they count wherever and by whomever a unit is tried again."""

import json
from collections import Counter

from danmatte.errors import StorageError
from danmatte.library.library import PRIVATE, Library, Unit
from danmatte.library.storage import Storage

_FOLDER = f"{PRIVATE}/attempts"
_LOST = "its worker was lost"  # what a worker that is killed has no time to say


class AttemptLog:
    """A file for each attempt that hasn't ended well, with the reason.

    It is written before the attempt begins, and says then that the worker was lost: that is true for as long as
    nobody writes another reason into it, also when a whole machine disappears.
    """

    def __init__(self, library: Library, target: Storage) -> None:
        self._limit, self._target = library.max_attempts, target

    def count_all(self) -> Counter[str]:
        """How many attempts there are at each unit, by its key."""
        names = (file.name.removeprefix(f"{_FOLDER}/") for file in self._target.list_files(_FOLDER))
        return Counter(name.partition(".")[0] for name in names)

    def begin(self, unit: Unit) -> int | None:
        """The number of an attempt that begins now, from 1 on; None where there were enough."""
        for number in range(unit.attempts + 1, self._limit + 1):
            try:
                self._target.create(_name(unit, number), _tell(_LOST))
            except FileExistsError:  # somebody else tries it at this moment
                continue
            return number
        return None

    def fail(self, unit: Unit, number: int, reason: str) -> None:
        """Notes why an attempt broke off."""
        self._target.put(_name(unit, number), _tell(reason))

    def forget(self, unit: Unit, number: int) -> None:
        """An attempt that ended well, or that was ended on purpose, doesn't count."""
        self._target.remove(_name(unit, number))

    def read_reason(self, unit: Unit, number: int) -> str:
        """Why an attempt broke off."""
        try:
            return str(json.loads(self._target.read(_name(unit, number)))["reason"])
        except (StorageError, ValueError, KeyError, TypeError):
            return _LOST


def _name(unit: Unit, number: int) -> str:
    return f"{_FOLDER}/{unit.key}.{number}.json"


def _tell(reason: str) -> bytes:
    return json.dumps({"reason": reason}).encode()
