"""What an engine is, and what all of them do alike."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np

from danmatte.contract.manifest import Manifest
from danmatte.errors import EngineError
from danmatte.frame import Pixels, Probabilities
from danmatte.telemetry.metrics import Timing

Waiter: TypeAlias = asyncio.Future[Probabilities]
Inline: TypeAlias = Callable[[Pixels], Probabilities]


class Engine(Protocol):
    """What the rest of the service knows of a network."""

    @property
    def precision(self) -> str:
        """What it really computes in."""

    @property
    def inline(self) -> Inline | None:
        """As `infer`, in the calling thread, which waits; None where that would keep pictures apart, or a core idle.

        Its time is the caller's to measure.
        """

    async def infer(self, picture: Pixels, timing: Timing | None = None) -> Probabilities:
        """(1, H, W, 3) uint8 to (h, w) float32 in [0, 1]; may be called again before it has answered.

        What comes before its own computation counts as `queue`, the rest as `infer`. Raises EngineError, also for
        everything in flight when the engine is closed.
        """

    def close(self) -> None:
        """Answers whatever waits with EngineError; to be called on the loop."""


@dataclass(frozen=True, eq=False)
class Served:
    """A version and its engine; whoever holds it may go on using it after it was put aside."""

    manifest: Manifest
    engine: Engine


def check_picture(picture: Pixels, shape: tuple[int, ...], closed: bool) -> None:
    """Raises EngineError for what can't be inferred."""
    if closed:
        raise EngineError("the engine was closed")
    if picture.shape != shape or picture.dtype != np.uint8:
        raise EngineError(f"picture: expected {shape} uint8, received {picture.shape} {picture.dtype}")


def settle(waiter: Waiter, outcome: Probabilities | EngineError) -> None:
    """Answers a caller who is still there; to be called on its loop."""
    if waiter.done():
        return
    if isinstance(outcome, EngineError):
        waiter.set_exception(outcome)
    else:
        waiter.set_result(outcome)
