"""A model's version, together with its engine."""

from dataclasses import dataclass, field

from danmatte.contract.manifest import Manifest
from danmatte.engine.batcher import Batcher
from danmatte.engine.protocol import Engine


@dataclass(frozen=True, eq=False)
class Served:
    """A loaded version, which stays usable for those that hold it after another version has replaced it.

    disagreement: how far its masks on this machine are from those stored when it was published, in points from 0 to
    100; None if none are stored or they weren't compared. warning: says so if that is too much; empty otherwise.
    """

    manifest: Manifest
    engine: Engine
    disagreement: float | None = None
    warning: str = ""
    batcher: Batcher = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "batcher", Batcher(self.engine))

    def close(self) -> None:
        """Close the engine, and fail waiting calls with EngineError; call it on their event loop."""
        self.engine.close()
        self.batcher.close()
