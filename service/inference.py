"""Named tensors in, named tensors out: what every inference protocol means. Knows no transport.

The input is the graph's own, N pictures of the manifest's shape as UINT8, or N encoded pictures as BYTES, which
are decoded and fitted as a frame is. The outputs, by name:

- the manifest's, FP32 (N, h, w, 1): the person's probability on the graph's grid; the default
- `mask`, BYTES (N,): a soft PNG mask for each picture, at its own size; only when asked for
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from service.engine import Served
from service.errors import TensorError, brief, did_you_mean
from service.frame import Pixels, Probabilities, Size
from service.manifest import Manifest
from service.metrics import Timing

S = TypeVar("S")
T = TypeVar("T")
Values: TypeAlias = npt.NDArray[Any] | Sequence[bytes]
MASK: Final = "mask"
MAX_BATCH: Final = 32
_AT_ONCE = 4  # pictures of a batch in the line that all others wait in, too


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


class Pictures(Protocol):
    """What inference asks of matting."""

    async def fitted(self, body: bytes, manifest: Manifest, timing: Timing) -> tuple[Size, Pixels]:
        """An encoded picture's size, and the graph's input."""

    async def infer(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        """The graph's output for its input."""

    async def mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""


class Inference:
    """Answers questions; each picture of a batch is an inference of its own."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures = pictures

    async def run(self, question: Question, served: Served, timing: Timing) -> list[Tensor]:
        """The outputs in the order asked for; raises TensorError, RequestError and EngineError."""
        names = _wanted(question, served.manifest)
        tensor = checked(question, served.manifest)
        sizes, pictures = await self._fitted(tensor, served.manifest, timing)
        answers = await self._inferred(pictures, served, timing)
        made = {served.manifest.output.name: _joined(answers, served.manifest)}
        if MASK in names and MASK not in made:

            async def masked(answer: tuple[Probabilities, Size], timing: Timing) -> bytes:
                return await self._pictures.mask(*answer, served.manifest, timing)

            masks = await _each("encode", masked, list(zip(answers, sizes, strict=True)), timing)
            made[MASK] = Tensor(MASK, "BYTES", (len(masks),), masks)
        return [made[name] for name in names]

    async def _inferred(self, pictures: list[Pixels], served: Served, timing: Timing) -> list[Probabilities]:
        async def inferred(picture: Pixels, timing: Timing) -> Probabilities:
            return await self._pictures.infer(picture, served, timing)

        at_once = _AT_ONCE if served.engine.inline else len(pictures)  # an engine that gathers batches wants all
        return await _each("infer", inferred, pictures, timing, at_once)

    async def _fitted(self, tensor: Tensor, manifest: Manifest, timing: Timing) -> tuple[list[Size], list[Pixels]]:
        if isinstance(tensor.values, np.ndarray):
            _, height, width, _ = manifest.input.shape
            pictures = list(tensor.values[:, np.newaxis])
            return [Size(height, width)] * len(pictures), pictures

        async def fitted(body: bytes, timing: Timing) -> tuple[Size, Pixels]:
            return await self._pictures.fitted(body, manifest, timing)

        made = await _each("decode", fitted, tensor.values, timing)
        return [size for size, _ in made], [picture for _, picture in made]


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


async def spread(act: Callable[[S], Awaitable[T]], items: Sequence[S], at_once: int = _AT_ONCE) -> list[T]:
    """What `act` makes of each in order, so many at once; if one fails, or the caller leaves, the rest are given up."""
    places = asyncio.Semaphore(at_once)

    async def placed(item: S) -> T:
        async with places:
            return await act(item)

    tasks = [asyncio.ensure_future(placed(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _each(
    phase: str, act: Callable[[S, Timing], Awaitable[T]], items: Sequence[S], timing: Timing, at_once: int = _AT_ONCE
) -> list[T]:
    """As `spread`; those of a batch take together what the clock says, and leave room for others' between them."""
    if len(items) == 1:
        return [await act(items[0], timing)]
    with timing.phase(phase):
        return await spread(lambda item: act(item, Timing()), items, at_once)


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
