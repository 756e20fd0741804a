"""An engine that computes when the test says so."""

import threading

from danmatte.contract.manifest import Manifest
from danmatte.engine import Arrays, FakeEngine
from danmatte.errors import EngineError


class Gate:
    """Lets pictures through, one by one; `waiting` are in front of it, also those whose callers have left."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passes, self._open = 0, False
        self.waiting = 0

    def let(self, count: int = 1) -> None:
        """Lets so many through, now or when they come."""
        with self._changed:
            self._passes += count
            self._changed.notify_all()

    def dismantle(self) -> None:
        """Ends all waiting, for ever."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def wait(self) -> None:
        """Waits to be let through; raises EngineError when the gate is dismantled instead."""
        with self._changed:
            self.waiting += 1
            self._changed.wait_for(lambda: self._open or self._passes)
            self.waiting -= 1
            if self._open:
                raise EngineError("the engine was closed")
            self._passes -= 1


class HeldEngine(FakeEngine):
    """A fake whose pictures wait at the gate."""

    def __init__(self, manifest: Manifest, gate: Gate) -> None:
        super().__init__(manifest)
        self._gate = gate

    def compute(self, inputs: Arrays) -> Arrays:
        self._gate.wait()
        return super().compute(inputs)

    def close(self) -> None:
        super().close()
        self._gate.dismantle()
