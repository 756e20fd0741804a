"""Versions that were asked for by their number, or by a label of somebody's own."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import TypeAlias

from danmatte.engine import Served

Key: TypeAlias = tuple[str, int]


class Spares:
    """At most `most` open versions, of all models; the one least used goes."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: OrderedDict[Key, Served] = OrderedDict()

    def __iter__(self) -> Iterator[Served]:
        return iter(self._open.values())

    def get(self, key: Key) -> Served | None:
        """The version, if it is open; it counts as used."""
        if key in self._open:
            self._open.move_to_end(key)
        return self._open.get(key)

    def peek(self, key: Key) -> Served | None:
        """The version, if it is open; it counts as before."""
        return self._open.get(key)

    def add(self, key: Key, served: Served) -> None:
        """Puts a version in; nobody waits for those that leave for it."""
        self._open[key] = served
        while len(self._open) > self._most:
            self._open.popitem(last=False)

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Lets go of all others."""
        for key in [key for key in self._open if not wanted(key)]:
            del self._open[key]
