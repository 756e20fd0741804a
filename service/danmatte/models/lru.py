"""A cache of open versions that requests selected by number or by an operator's label."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeAlias

from danmatte.engine import Served

VersionKey: TypeAlias = tuple[str, int]  # a model's name and a version's number


class VersionLru:
    """At most `capacity` open versions of all models together; a new one evicts the least recently used."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._open: OrderedDict[VersionKey, Served] = OrderedDict()

    def __iter__(self) -> Iterator[Served]:
        return iter(self._open.values())

    def get(self, key: VersionKey) -> Served | None:
        """Return the version, if it is open; this counts as use."""
        if key in self._open:
            self._open.move_to_end(key)
        return self._open.get(key)

    def peek(self, key: VersionKey) -> Served | None:
        """Return the version, if it is open; this doesn't count as use."""
        return self._open.get(key)

    def add(self, key: VersionKey, served: Served) -> None:
        """Add a version as the most recently used. An evicted version isn't closed: requests may still use it."""
        self._open[key] = served
        self._open.move_to_end(key)
        while len(self._open) > self._capacity:
            self._open.popitem(last=False)

    def retain(self, is_wanted: Callable[[VersionKey], bool]) -> None:
        """Remove every version that isn't wanted, without closing it."""
        for key in [key for key in self._open if not is_wanted(key)]:
            del self._open[key]
