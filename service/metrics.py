"""What is measured about an answer."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timing:
    """Milliseconds a request spent in each phase, for the `Server-Timing` header (W3C Server Timing)."""

    def __init__(self) -> None:
        self.phases_ms: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the wall time of the block to the phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(name, since=start)

    def add(self, name: str, *, since: float) -> None:
        """Adds the wall time since then, a `time.perf_counter()`, to the phase."""
        self.phases_ms[name] = self.phases_ms.get(name, 0.0) + (time.perf_counter() - since) * 1e3

    def __str__(self) -> str:
        return ", ".join(f"{name};dur={ms:.2f}" for name, ms in self.phases_ms.items())
