"""Periodic scans of the folder of models."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from danmatte.models.scan import FoundModel, scan_models

log = logging.getLogger(__name__)


class Watch:
    """A poller that refreshes models whose folders have changed.

    A model is refreshed only after two consecutive scans agree, because files that are still being copied would not
    match their digests.
    """

    def __init__(self, root: Path, refresh: Callable[[str], Awaitable[object]], policies: Path | None = None) -> None:
        """`policies` is the folder of policies, if that isn't `root`."""
        self._root, self._policies, self._refresh = root, policies, refresh
        self._known: dict[str, FoundModel] = {}
        self._last: dict[str, FoundModel] = {}

    def accept(self) -> None:
        """Record the folder's current contents as known."""
        self._known = self._last = scan_models(self._root, self._policies)

    async def run(self, every_s: float) -> None:
        """Scan for ever, at this interval; errors are logged."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.scan()
            except Exception:
                log.exception("%s: could not be scanned", self._root)

    async def scan(self) -> None:
        """Scan once and refresh the models that changed; a failure is logged and doesn't affect the others."""
        now = await asyncio.to_thread(scan_models, self._root, self._policies)
        for name in sorted(now.keys() | self._known.keys()):
            found = now.get(name)
            if found != self._last.get(name) or found == self._known.get(name):
                continue
            try:
                await self._refresh(name)
            except Exception:
                log.exception("%s: could not be refreshed", name)
            known = {other: seen for other, seen in self._known.items() if other != name}
            self._known = {**known, name: found} if found else known
        self._last = now
