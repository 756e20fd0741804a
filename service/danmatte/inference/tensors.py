"""Named tensors in, named tensors out: what every inference protocol means. Knows no transport.

The input is the graph's own, N pictures of the manifest's shape as UINT8, or N encoded pictures as BYTES, which
are decoded and fitted as a frame is. The outputs, by name:

- the manifest's, FP32 (N, h, w, 1): the person's probability on the graph's grid; the default
- `mask`, BYTES (N,): a soft PNG mask for each picture, at its own size; only when asked for
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.engine import Served
from danmatte.errors import TensorError, brief
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.telemetry.metrics import Timing

T = TypeVar("T")
Values: TypeAlias = npt.NDArray[Any] | Sequence[bytes]
MASK: Final = "mask"
MAX_BATCH: Final = 32
Turn: TypeAlias = Callable[[Timing], AbstractAsyncContextManager[None]]
_AT_ONCE = 4  # turns that a question has or waits for, unless more are free, or the graph takes more at once


@dataclass(frozen=True)
class Tensor:
    """`datatype` is the Open Inference Protocol's word; `values` an array of `shape`, or the elements of BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values


@dataclass(frozen=True)
class Question:
    """The inputs, and the names of the outputs wanted; none means the default one."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()


class _Answer(NamedTuple):
    """What is known of one picture; the mask is empty unless it was asked for."""

    values: Probabilities
    mask: bytes


class Pictures(Protocol):
    """What inference asks of matting."""

    async def looked(self, body: bytes, served: Served, timing: Timing) -> tuple[Size, Probabilities]:
        """An encoded picture's size, and the graph's output for it."""

    async def infer(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        """The graph's output for its input."""

    async def mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""


class Inference:
    """Answers questions; each picture of a batch is an inference of its own, and takes a turn of its own."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    async def run(
        self, question: Question, served: Served, timing: Timing, turn: Turn, *, free: int = 0
    ) -> list[Tensor]:
        """The outputs in the order asked for, by as many turns at once as are `free`.

        Raises TensorError, RequestError and EngineError.
        """
        manifest, names = served.manifest, _wanted(question, served.manifest)
        pictures = _pictures(checked(question, manifest))
        masked = MASK in names and manifest.output.name != MASK

        async def answered(picture: bytes | Pixels, timing: Timing) -> _Answer:
            async with turn(timing):
                return await self._answered(picture, served, timing, masked)

        if len(pictures) == 1:
            answers = [await answered(pictures[0], timing)]
        else:
            timings = [Timing() for _ in pictures]
            try:
                at_once = max(_AT_ONCE, free, manifest.configuration.batch)
                answers = await spread(answered, list(zip(pictures, timings, strict=True)), at_once)
            finally:
                timing.gather(timings)
        made = {manifest.output.name: _joined([answer.values for answer in answers], manifest)}
        if masked:
            made[MASK] = Tensor(MASK, "BYTES", (len(answers),), [answer.mask for answer in answers])
        return [made[name] for name in names]

    async def _answered(self, picture: bytes | Pixels, served: Served, timing: Timing, masked: bool) -> _Answer:
        manifest = served.manifest
        if isinstance(picture, np.ndarray):
            size = Size(*manifest.input.shape[1:3])
            values = await self._pictures.infer(picture, served, timing)
        else:
            size, values = await self._pictures.looked(picture, served, timing)
        return _Answer(values, await self._pictures.mask(values, size, manifest, timing) if masked else b"")


def checked(question: Question, manifest: Manifest) -> Tensor:
    """The one input; raises TensorError when its name, datatype or shape isn't the manifest's."""
    port = manifest.input
    if len(question.inputs) != 1:
        raise TensorError(f"inputs: expected one, {port.name!r}, received {len(question.inputs)}")
    tensor = question.inputs[0]
    if tensor.name != port.name:
        raise TensorError(f"input: unknown {brief(tensor.name)}{did_you_mean(tensor.name, [port.name])}")
    if tensor.datatype not in ("UINT8", "BYTES"):
        raise TensorError(f"{port.name}: datatype: expected UINT8 or BYTES, received {brief(tensor.datatype)}")
    encoded = tensor.datatype == "BYTES"
    rest = tensor.shape[1:]
    if not tensor.shape or (rest not in ((), (1,)) if encoded else rest != port.shape[1:]):
        expected = [-1] if encoded else [-1, *port.shape[1:]]
        raise TensorError(f"{port.name}: shape: expected {expected}, received {brief(list(tensor.shape))}")
    if not 1 <= tensor.shape[0] <= MAX_BATCH:
        raise TensorError(f"{port.name}: expected 1 to {MAX_BATCH} pictures, received {tensor.shape[0]}")
    return tensor


async def spread(act: Callable[..., Awaitable[T]], items: Sequence[tuple[Any, ...]], at_once: int) -> list[T]:
    """What `act` makes of each in order, so many at once; if one fails, or the caller leaves, the rest are given up."""
    places = asyncio.Semaphore(at_once)

    async def placed(item: tuple[Any, ...]) -> T:
        async with places:
            return await act(*item)

    tasks = [asyncio.ensure_future(placed(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def _pictures(tensor: Tensor) -> Sequence[bytes | Pixels]:
    """Each of the batch; pixels are a batch of one, and not copied."""
    return list(tensor.values[:, np.newaxis]) if isinstance(tensor.values, np.ndarray) else tensor.values


def _wanted(question: Question, manifest: Manifest) -> tuple[str, ...]:
    """The outputs' names, each known and named once."""
    known = [manifest.output.name, MASK]
    for name in question.outputs:
        if name not in known:
            raise TensorError(f"output: unknown {brief(name)}{did_you_mean(name, known)}")
        if question.outputs.count(name) > 1:
            raise TensorError(f"output: expected {name!r} once")
    return question.outputs or (manifest.output.name,)


def _joined(answers: Sequence[Probabilities], manifest: Manifest) -> Tensor:
    values = answers[0][np.newaxis] if len(answers) == 1 else np.stack(answers)
    return Tensor(manifest.output.name, "FP32", (*values.shape, 1), values[..., np.newaxis])
