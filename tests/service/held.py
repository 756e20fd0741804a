"""An engine that computes when the test says so."""

import asyncio

from danmatte.contract.manifest import Manifest
from danmatte.engine import FakeEngine
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.metrics import Timing


class Gate:
    """Lets pictures through, one by one; `waiting` are in front of it."""

    def __init__(self) -> None:
        self._passes = asyncio.Semaphore(0)
        self.waiting = 0

    def let(self, count: int = 1) -> None:
        """Lets so many through, now or when they come."""
        for _ in range(count):
            self._passes.release()

    async def passed(self) -> None:
        """Waits to be let through."""
        self.waiting += 1
        try:
            await self._passes.acquire()
        finally:
            self.waiting -= 1


class HeldEngine(FakeEngine):
    """A fake whose pictures wait at the gate."""

    def __init__(self, manifest: Manifest, gate: Gate) -> None:
        super().__init__(manifest)
        self._gate = gate

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        await self._gate.passed()
        return await super().infer(picture, timing)
