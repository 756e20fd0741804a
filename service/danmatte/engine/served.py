"""A model's version together with what computes for it."""

from dataclasses import dataclass, field

from danmatte.contract.manifest import Manifest
from danmatte.engine.batcher import Batcher
from danmatte.engine.protocol import Engine


@dataclass(frozen=True, eq=False)
class Served:
    """A version that is loaded; whoever holds it may go on using it after another has taken its place."""

    manifest: Manifest
    engine: Engine
    batcher: Batcher = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batcher", Batcher(self.engine))

    def close(self) -> None:
        """Answers whoever waits with EngineError; to be called on the event loop of those who wait."""
        self.engine.close()
        self.batcher.close()
