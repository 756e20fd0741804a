"""Versions that requests named themselves, by number or by a label of the operator's, kept open while they are used."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeAlias

from danmatte.engine import Served

VersionKey: TypeAlias = tuple[str, int]  # a model's name and a version's number


class VersionLru:
    """At most `most` open versions of all models together; the least recently used one leaves for a new one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[VersionKey, Served] = OrderedDict()

    def __iter__(self) -> Iterator[Served]:
        return iter(self._open.values())

    def get(self, key: VersionKey) -> Served | None:
        """The version, if it is open; this counts as use."""
        if key in self._open:
            self._open.move_to_end(key)
        return self._open.get(key)

    def peek(self, key: VersionKey) -> Served | None:
        """The version, if it is open; this doesn't count as use."""
        return self._open.get(key)

    def add(self, key: VersionKey, served: Served) -> None:
        """Puts a version in, as the one used last. What leaves for it isn't closed: whoever still uses it goes on."""
        self._open[key] = served
        self._open.move_to_end(key)
        while len(self._open) > self._most:
            self._open.popitem(last=False)

    def retain(self, is_wanted: Callable[[VersionKey], bool]) -> None:
        """Lets go of every version that isn't wanted."""
        for key in [key for key in self._open if not is_wanted(key)]:
            del self._open[key]
