"""Inference from named tensors to named tensors, for all inference protocols. Independent of any transport.

The inputs are those of the manifest. A picture may also be sent encoded, as BYTES; it is then decoded and fitted to the
graph's input as a frame is. If the first dimension of every input and output is a batch dimension, a request may have
up to MAX_BATCH items. The outputs are those of the manifest, all unless the request names some. A model that finds
regions in pictures has one more:

- `mask`, BYTES (N,): a soft PNG mask for each picture, at the picture's size; only returned if it is named
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
"""The inputs of one inference, in the order of the manifest's inputs; an encoded picture is bytes."""
MASK: Final = "mask"
MAX_BATCH: Final = 32
BYTES: Final = "BYTES"
# From the contract's data types to those of the Open Inference Protocol.
DATATYPES: Final = {
    "boolean": "BOOL",
    **{f"u{bits}": f"UINT{bits}" for bits in (8, 16, 32, 64)},
    **{f"i{bits}": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"f{bits}": f"FP{bits}" for bits in (16, 32, 64)},
}
GetPermit: TypeAlias = Callable[[Timing], AbstractAsyncContextManager[None]]
# The maximum number of permits that a request has or waits for, unless more are available or the graph takes larger
# batches. Permits are granted round-robin by caller, so a batch doesn't take more than its caller's share. With 2,
# batches got 17 pictures a second while single requests got 70; with 4 it was 37 and 40.
_AT_ONCE = 4


@dataclass(frozen=True)
class Tensor:
    """A named tensor. `datatype` is the Open Inference Protocol's; `values` is an array, or BYTES elements."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: Values


@dataclass(frozen=True)
class InferRequest:
    """The inputs, and the names of the requested outputs; none means all outputs of the manifest."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[str, ...] = ()

    def wants_masks(self, manifest: Manifest) -> bool:
        """Return whether it names the output `mask`, and the graph has no output of that name itself."""
        return MASK in self.outputs and manifest.makes_masks and all(port.name != MASK for port in manifest.outputs)


class ItemInference(Protocol):
    """The part of matting that tensor inference uses."""

    async def compute(self, item: Item, served: Served, timing: Timing) -> tuple[Size, Arrays]:
        """Return the size of an item's picture, and the graph's outputs."""

    async def encode_mask(self, outputs: Arrays, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """Return a soft PNG mask of the frame's size."""


class TensorInference:
    """Runs tensor requests. Each item of a batch is a separate inference with a separate permit."""

    def __init__(self, items: ItemInference) -> None:
        self._items = items

    async def run(
        self, request: InferRequest, served: Served, timing: Timing, permit: GetPermit, *, free: int = 0
    ) -> list[Tensor]:
        """Return the outputs in the requested order.

        Up to `free` items are computed at once, but at least a few. Raises TensorError, RequestError and EngineError.
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
    """Return the inputs in the manifest's order; raises TensorError if one doesn't match the manifest."""
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
        raise TensorError(f"inputs: expected the same number of items in each, received {sorted(counts)}")
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
    """Return a port's shape as protocols show it: -1 for a side that isn't fixed, and for the number of items."""
    sides = [-1 if isinstance(side, SideRange) else side for side in port.shape]
    return [-1, *sides[1:]] if manifest.takes_batches else sides


def split_items(tensors: Sequence[Tensor], manifest: Manifest) -> list[Item]:
    """Return the inputs of each inference; arrays are views, not copies."""
    if not manifest.takes_batches:
        return [[t.values if isinstance(t.values, np.ndarray) else t.values[0] for t in tensors]]

    def pick(values: Values, row: int) -> bytes | npt.NDArray[Any]:
        return values[row : row + 1] if isinstance(values, np.ndarray) else values[row]

    return [[pick(tensor.values, row) for tensor in tensors] for row in range(tensors[0].shape[0])]


def _join(name: str, parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    if len({part.shape for part in parts}) > 1:
        raise TensorError(f"{name}: expected one size for all items, received several; send each item separately")
    return np.concatenate(parts)


def _choose_outputs(request: InferRequest, manifest: Manifest) -> tuple[str, ...]:
    """Return the names of the requested outputs; raises TensorError for an unknown or repeated name."""
    own = tuple(port.name for port in manifest.outputs)
    known = [*own, MASK] if manifest.makes_masks else list(own)
    for name in request.outputs:
        if name not in known:
            raise TensorError(f"output: unknown {brief(name)}{did_you_mean(name, known)}")
        if request.outputs.count(name) > 1:
            raise TensorError(f"output: expected {name!r} once")
    return request.outputs or own


async def map_concurrently(act: Callable[..., Awaitable[T]], items: Sequence[tuple[Any, ...]], at_once: int) -> list[T]:
    """Return the result of `act` for each item, in order, computed `at_once` at a time.

    A failure or a cancellation cancels the remaining calls.
    """
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
