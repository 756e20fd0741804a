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
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.engine import Served
from danmatte.errors import TensorError, brief
from danmatte.frame import Pixels, Probabilities, Size
from danmatte.telemetry.timing import Timing

T = TypeVar("T")
Values: TypeAlias = npt.NDArray[Any] | Sequence[bytes]
MASK: Final = "mask"
MAX_BATCH: Final = 32
GetPermit: TypeAlias = Callable[[Timing], AbstractAsyncContextManager[None]]
# Permits that a request has or waits for, unless more are free, or the graph takes more at once. Permits go round the
# callers, so that a post of 32 pictures gets no more than as many posts at once. With two, which wait for permits of
# others that have begun, batches got 17 pictures a second beside 70 single ones; with four 37 beside 40.
_AT_ONCE = 4


@dataclass(frozen=True)
class Tensor:
    """`datatype` is the Open Inference Protocol's word; `values` an array of `shape`, or the elements of BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values


@dataclass(frozen=True)
class InferRequest:
    """The inputs, and the names of the outputs wanted; none means the default one."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()


class PictureInference(Protocol):
    """What tensor inference needs of matting."""

    async def infer_picture(self, body: bytes, served: Served, timing: Timing) -> tuple[Size, Probabilities]:
        """An encoded picture's size, and the graph's output for it."""

    async def infer_pixels(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        """The graph's output for its input."""

    async def encode_mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""


class TensorInference:
    """Answers requests of tensors; each picture of a batch is an inference of its own, with a permit of its own."""

    def __init__(self, pictures: PictureInference) -> None:
        self._pictures = pictures

    async def run(
        self, request: InferRequest, served: Served, timing: Timing, permit: GetPermit, *, free: int = 0
    ) -> list[Tensor]:
        """The outputs in the order asked for, by as many permits at once as are `free`, or a few.

        Raises TensorError, RequestError and EngineError.
        """
        manifest = served.manifest
        names = _choose_outputs(request, manifest)
        tensor = check_input(request, manifest)
        # An array's pictures are batches of one, and not copied.
        pictures: Sequence[bytes | Pixels] = (
            list(tensor.values[:, np.newaxis]) if isinstance(tensor.values, np.ndarray) else tensor.values
        )
        wants_masks = MASK in names and manifest.output.name != MASK

        async def answer(picture: bytes | Pixels, timing: Timing) -> tuple[Probabilities, bytes]:
            async with permit(timing):
                return await self._infer(picture, served, timing, wants_masks)

        if len(pictures) == 1:
            answers = [await answer(pictures[0], timing)]
        else:
            timings = [Timing() for _ in pictures]
            at_once = max(_AT_ONCE, free, manifest.configuration.batch)
            try:
                answers = await map_concurrently(answer, list(zip(pictures, timings, strict=True)), at_once)
            finally:
                timing.gather(timings)
        values = answers[0][0][np.newaxis] if len(answers) == 1 else np.stack([values for values, _ in answers])
        outputs = {manifest.output.name: Tensor(manifest.output.name, "FP32", (*values.shape, 1), values[..., None])}
        if wants_masks:
            outputs[MASK] = Tensor(MASK, "BYTES", (len(answers),), [mask for _, mask in answers])
        return [outputs[name] for name in names]

    async def _infer(
        self, picture: bytes | Pixels, served: Served, timing: Timing, wants_mask: bool
    ) -> tuple[Probabilities, bytes]:
        """A picture's probabilities and its mask, which is empty unless it is wanted."""
        manifest = served.manifest
        if isinstance(picture, np.ndarray):
            size = Size(*manifest.input.shape[1:3])
            values = await self._pictures.infer_pixels(picture, served, timing)
        else:
            size, values = await self._pictures.infer_picture(picture, served, timing)
        mask = await self._pictures.encode_mask(values, size, manifest, timing) if wants_mask else b""
        return values, mask


def check_input(request: InferRequest, manifest: Manifest) -> Tensor:
    """The one input; raises TensorError when its name, datatype or shape isn't the manifest's."""
    port = manifest.input
    if len(request.inputs) != 1:
        raise TensorError(f"inputs: expected one, {port.name!r}, received {len(request.inputs)}")
    tensor = request.inputs[0]
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


def _choose_outputs(request: InferRequest, manifest: Manifest) -> tuple[str, ...]:
    """The outputs' names, each known and named once; raises TensorError."""
    known = [manifest.output.name, MASK]
    for name in request.outputs:
        if name not in known:
            raise TensorError(f"output: unknown {brief(name)}{did_you_mean(name, known)}")
        if request.outputs.count(name) > 1:
            raise TensorError(f"output: expected {name!r} once")
    return request.outputs or (manifest.output.name,)


async def map_concurrently(act: Callable[..., Awaitable[T]], items: Sequence[tuple[Any, ...]], at_once: int) -> list[T]:
    """The results of `act` for each item, in order, `at_once` at a time; a failure or cancellation cancels the rest."""
    limit = asyncio.Semaphore(at_once)

    async def act_within_limit(item: tuple[Any, ...]) -> T:
        async with limit:
            return await act(*item)

    tasks = [asyncio.ensure_future(act_within_limit(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
