"""A watch over the folder of models."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from danmatte.models.scan import Found, survey

log = logging.getLogger(__name__)


class Watch:
    """Looks at names and times; a model that changed and then held still for one look is worth another.

    So a folder that is being copied isn't read before it is whole, and were it read, its digests would be wrong.
    """

    def __init__(self, root: Path, renew: Callable[[str], Awaitable[object]]) -> None:
        self._root, self._renew = root, renew
        self._known: dict[str, Found] = {}
        self._last: dict[str, Found] = {}

    def settled(self) -> None:
        """Takes what lies there now as known."""
        self._known = self._last = survey(self._root)

    async def run(self, every_s: float) -> None:
        """Looks for ever."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.look()
            except Exception:
                log.exception("%s: could not be looked at", self._root)

    async def look(self) -> None:
        """Looks once, and has models that changed renewed."""
        now = await asyncio.to_thread(survey, self._root)
        for name in sorted(now.keys() | self._known.keys()):
            found = now.get(name)
            if found == self._last.get(name) and found != self._known.get(name):
                await self._renewed(name)
                self._known = {**self._known, name: found} if found else _without(self._known, name)
        self._last = now

    async def _renewed(self, name: str) -> None:
        try:
            await self._renew(name)
        except Exception:
            log.exception("%s: could not be renewed", name)


def _without(known: dict[str, Found], name: str) -> dict[str, Found]:
    return {other: found for other, found in known.items() if other != name}
