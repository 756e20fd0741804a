"""The inventory of a library: its units and which are finished, found by listing source and target."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from danmatte.contract.manifest import Manifest
from danmatte.library.attempts import AttemptLog
from danmatte.library.library import Library, Shard, Unit, make_units
from danmatte.library.parts import FOLDER, list_part_names, name_part
from danmatte.library.place import open_storage
from danmatte.library.storage import Storage
from danmatte.quality.companion import SUFFIX


@dataclass
class Totals:
    """Totals of a library: units and their bytes, and how much of both was already finished."""

    units: int = 0
    size_bytes: int = 0
    kept: int = 0
    kept_bytes: int = 0


class Inventory:
    """The units of one shard, and which were finished when the inventory was created.

    It stores 16 bytes per track and per verdict and nothing for other units; otherwise its memory use is that of the
    names in the largest folder. Raises StorageError, and InvalidParameterError if the source doesn't exist.
    """

    def __init__(self, library: Library, manifest: Manifest, shard: Shard) -> None:
        self.library, self._shard = library, shard
        self._work = library.describe_work(manifest)
        self._source: Storage = open_storage(library.source)
        self._source.check_source()
        target = open_storage(library.target)
        self._finished = set(_find_digests(target, library.suffix, SUFFIX))
        self._parts = {file.name for file in target.list_files(FOLDER)}
        self._attempts = AttemptLog(library, target).count_all()

    def __iter__(self) -> Iterator[tuple[Unit, bool]]:
        """Yield every unit and whether it is finished; those that failed before come last."""
        tried = list[Unit]()
        for unit in self._list_units():
            if self._is_finished(unit):
                yield unit, True
            elif unit.attempts:
                tried.append(unit)
            else:
                yield unit, False
        yield from ((unit, False) for unit in tried)

    def count(self) -> Totals:
        """Count units and bytes; lists the source once."""
        totals = Totals()
        for unit, finished in self:
            totals.units += 1
            totals.size_bytes += unit.share_bytes
            totals.kept += finished
            totals.kept_bytes += unit.share_bytes * finished
        return totals

    def _list_units(self) -> Iterator[Unit]:
        for file in self._source.list_videos():
            for unit in make_units(file, self._work, self.library.split_bytes):
                if self._shard.holds(unit):
                    yield unit._replace(attempts=self._attempts[unit.key])

    def _is_finished(self, unit: Unit) -> bool:
        """Return whether nothing is left to do for the unit: its track or its part exists.

        The first unit of a video isn't finished while all parts exist without the joined track, or while a requested
        verdict is missing.
        """
        if bytes.fromhex(unit.digest) in self._finished:
            judging = self.library.judging
            return not judging or unit.number > 0 or bytes.fromhex(judging.digest(unit.digest)) in self._finished
        if unit.parts == 1 or name_part(unit) not in self._parts:
            return False
        return unit.number > 0 or not self._parts.issuperset(list_part_names(unit))


def _find_digests(target: Storage, *suffixes: str) -> Iterator[bytes]:
    """Yield the digests in the names of the target's files with these suffixes."""
    named = re.compile(rf"\.([0-9a-f]{{32}})(?:{'|'.join(map(re.escape, suffixes))})$")
    for file in target.list_files():
        if match := named.search(file.name):
            yield bytes.fromhex(match[1])
