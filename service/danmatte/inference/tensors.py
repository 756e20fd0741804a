"""Named tensors in, named tensors out: what every inference protocol means. Knows no transport.

An input is the graph's own; a picture may also be BYTES, an encoded picture, which is decoded and fitted as a frame is.
Where the first sides of all inputs and outputs count independent items, up to MAX_BATCH of those come at once. The
outputs are the manifest's, all of them unless some are named, and for a model that finds regions in pictures:

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
from danmatte.contract.ports import Input, Output, PictureInput
from danmatte.contract.shapes import SideRange, fits_shape
from danmatte.engine import Arrays, Served
from danmatte.errors import TensorError, brief
from danmatte.frame import Size
from danmatte.telemetry.timing import Timing

T = TypeVar("T")
Values: TypeAlias = npt.NDArray[Any] | Sequence[bytes]
Item: TypeAlias = Sequence[bytes | npt.NDArray[Any]]
"""What one inference takes, in the order of the manifest's inputs; an encoded picture as bytes."""
MASK: Final = "mask"
MAX_BATCH: Final = 32
BYTES: Final = "BYTES"
# The contract's words for numbers, in the Open Inference Protocol's.
DATATYPES: Final = {
    "boolean": "BOOL",
    **{f"u{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"i{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"f{bits}": f"FP{bits}" for bits in (16, 32, 64)},
}
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
    """The inputs, and the names of the outputs wanted; none means all of the manifest's."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()

    def wants_masks(self, manifest: Manifest) -> bool:
        """Whether it asks for a mask that the graph itself doesn't put out."""
        return MASK in self.outputs and manifest.makes_masks and all(port.name != MASK for port in manifest.outputs)


class ItemInference(Protocol):
    """What tensor inference needs of matting."""

    async def compute(self, item: Item, served: Served, timing: Timing) -> tuple[Size, Arrays]:
        """The graph's outputs for an item, and the size of its picture."""

    async def encode_mask(self, outputs: Arrays, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""


class TensorInference:
    """Answers requests of tensors; each item of a batch is an inference of its own, with a permit of its own."""

    def __init__(self, items: ItemInference) -> None:
        self._items = items

    async def run(
        self, request: InferRequest, served: Served, timing: Timing, permit: GetPermit, *, free: int = 0
    ) -> list[Tensor]:
        """The outputs in the order asked for, by as many permits at once as are `free`, or a few.

        Raises TensorError, RequestError and EngineError.
        """
        manifest = served.manifest
        names = _choose_outputs(request, manifest)
        items = split_items(check_inputs(request, manifest), manifest)
        wants_masks = request.wants_masks(manifest)

        async def answer(item: Item, timing: Timing) -> tuple[Arrays, bytes]:
            async with permit(timing):
                size, outputs = await self._items.compute(item, served, timing)
                wanted = self._items.encode_mask(outputs, size, manifest, timing) if wants_masks else None
                return outputs, await wanted if wanted else b""

        if len(items) == 1:
            answers = [await answer(items[0], timing)]
        else:
            timings = [Timing() for _ in items]
            at_once = max(_AT_ONCE, free, manifest.configuration.batch)
            try:
                answers = await map_concurrently(answer, list(zip(items, timings, strict=True)), at_once)
            finally:
                timing.gather(timings)
        found = {}
        for number, port in enumerate(manifest.outputs):
            if port.name in names:
                values = _join(port.name, [outputs[number] for outputs, _ in answers])
                found[port.name] = Tensor(port.name, DATATYPES[port.dtype], values.shape, values)
        if wants_masks:
            found[MASK] = Tensor(MASK, BYTES, (len(answers),), [mask for _, mask in answers])
        return [found[name] for name in names]


def check_inputs(request: InferRequest, manifest: Manifest) -> list[Tensor]:
    """The inputs in the manifest's order; raises TensorError when one isn't what the manifest says."""
    given = {tensor.name: tensor for tensor in request.inputs}
    known = [port.name for port in manifest.inputs]
    if len(known) == 1 != len(request.inputs):
        raise TensorError(f"inputs: expected one, {known[0]!r}, received {len(request.inputs)}")
    for name in given:
        if name not in known:
            raise TensorError(f"input: unknown {brief(name)}{did_you_mean(name, known)}")
    if len(request.inputs) != len(known) or len(given) != len(known):
        raise TensorError(f"inputs: expected {', '.join(map(repr, known))} once each, received {len(request.inputs)}")
    ordered = [given[name] for name in known]
    for port, tensor in zip(manifest.inputs, ordered, strict=True):
        _check_input(port, tensor, manifest)
    counts = {tensor.shape[0] for tensor in ordered} if manifest.takes_batches else set()
    if len(counts) > 1:
        raise TensorError(f"inputs: expected as many items in each, received {sorted(counts)}")
    return ordered


def _check_input(port: Input, tensor: Tensor, manifest: Manifest) -> None:
    allowed = [DATATYPES[port.dtype], *([BYTES] if isinstance(port, PictureInput) else [])]
    if tensor.datatype not in allowed:
        expected = " or ".join(allowed)
        raise TensorError(f"{port.name}: datatype: expected {expected}, received {brief(tensor.datatype)}")
    rest, encoded = tensor.shape[1:], tensor.datatype == BYTES
    if encoded:
        fits = bool(tensor.shape) and rest in ((), (1,)) and (manifest.takes_batches or tensor.shape[0] == 1)
    elif manifest.takes_batches:
        fits = bool(tensor.shape) and fits_shape(port.shape[1:], rest)
    else:
        fits = fits_shape(port.shape, tensor.shape)
    if not fits:
        expected = "[-1]" if encoded else str(describe_shape(port, manifest))
        ranges = [str(side) for side in port.shape if isinstance(side, SideRange)]
        where = f" with sides of {', '.join(ranges)}" if ranges and not encoded else ""
        raise TensorError(f"{port.name}: shape: expected {expected}{where}, received {brief(list(tensor.shape))}")
    if manifest.takes_batches and not 1 <= tensor.shape[0] <= MAX_BATCH:
        things = "pictures" if isinstance(port, PictureInput) else "items"
        raise TensorError(f"{port.name}: expected 1 to {MAX_BATCH} {things}, received {tensor.shape[0]}")


def describe_shape(port: Input | Output, manifest: Manifest) -> list[int]:
    """A port's shape as protocols give it: -1 for a side that isn't fixed, and for the number of items."""
    sides = [-1 if isinstance(side, SideRange) else side for side in port.shape]
    return [-1, *sides[1:]] if manifest.takes_batches else sides


def split_items(tensors: Sequence[Tensor], manifest: Manifest) -> list[Item]:
    """The inputs of each inference; arrays are views, not copies."""
    if not manifest.takes_batches:
        return [[t.values if isinstance(t.values, np.ndarray) else t.values[0] for t in tensors]]

    def pick(values: Values, row: int) -> bytes | npt.NDArray[Any]:
        return values[row : row + 1] if isinstance(values, np.ndarray) else values[row]

    return [[pick(tensor.values, row) for tensor in tensors] for row in range(tensors[0].shape[0])]


def _join(name: str, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    if len({part.shape for part in parts}) > 1:
        raise TensorError(f"{name}: its size differs from item to item; ask for each of them alone")
    return np.concatenate(parts)


def _choose_outputs(request: InferRequest, manifest: Manifest) -> tuple[str, ...]:
    """The outputs' names, each known and named once; raises TensorError."""
    own = tuple(port.name for port in manifest.outputs)
    known = [*own, MASK] if manifest.makes_masks else list(own)
    for name in request.outputs:
        if name not in known:
            raise TensorError(f"output: unknown {brief(name)}{did_you_mean(name, known)}")
        if request.outputs.count(name) > 1:
            raise TensorError(f"output: expected {name!r} once")
    return request.outputs or own


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
