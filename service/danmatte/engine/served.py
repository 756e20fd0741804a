"""A model's version together with what computes for it."""

from dataclasses import dataclass, field

from danmatte.contract.manifest import Manifest
from danmatte.engine.batcher import Batcher
from danmatte.engine.protocol import Engine


@dataclass(frozen=True, eq=False)
class Served:
    """A version that is loaded; whoever holds it may go on using it after another has taken its place.

    disagreement: how far its answers here are from those that it gave where it was made, in points from 0 to 100; None
    where none were stored, or none were looked at. warning: says so where that is too far; empty otherwise.
    """

    manifest: Manifest
    engine: Engine
    disagreement: float | None = None
    warning: str = ""
    batcher: Batcher = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batcher", Batcher(self.engine))

    def close(self) -> None:
        """Answers whoever waits with EngineError; to be called on the event loop of those who wait."""
        self.engine.close()
        self.batcher.close()
