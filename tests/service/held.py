"""A fake engine that the test controls."""

import threading

from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, FakeEngine
from danmatte.errors import EngineError


class Gate:
    """A gate for pictures; `waiting` counts those in front of it, including those of disconnected clients."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passes, self._open = 0, False
        self.waiting = 0

    def let(self, count: int = 1) -> None:
        """Let this many pictures pass, now or when they arrive."""
        with self._changed:
            self._passes += count
            self._changed.notify_all()

    def dismantle(self) -> None:
        """End all waiting, now and in future."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Wait until the picture may pass; raises EngineError if the gate is dismantled."""
        with self._changed:
            self.waiting += 1
            self._changed.wait_for(lambda: self._open or self._passes)
            self.waiting -= 1
            if self._open:
                raise EngineError("the engine was closed")
            self._passes -= 1


class HeldEngine(FakeEngine):
    """A fake engine whose pictures wait at the gate."""

    def __init__(self, manifest: Manifest, gate: Gate) -> None:
        super().__init__(manifest)
        self._gate = gate

    def compute(self, inputs: Arrays) -> Arrays:
        self._gate.wait()
        return super().compute(inputs)

    def close(self) -> None:
        super().close()
        self._gate.dismantle()
