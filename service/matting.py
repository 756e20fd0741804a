"""The use case: a picture's bytes in, its mask's bytes out. Knows no HTTP."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar

import cv2
import numpy as np

from service.codecs import Encoder, decoder_for, exif
from service.engine import Inline, Served
from service.errors import EngineError, InvalidParameterError, PictureTooLargeError
from service.frame import Frame, Mask, Pixels, Probabilities, Size
from service.geometry import fit, project, scaled_size
from service.manifest import Grid, Manifest
from service.metrics import Timing

T = TypeVar("T")
# From the graph's input, the frame's size and the graph's output to a better output, and where its values lie.
Steadier: TypeAlias = Callable[[Pixels, Size, Probabilities, Manifest], tuple[Probabilities, Grid]]


@dataclass(frozen=True)
class Look:
    """How the mask is painted.

    `size` None is the frame's own; `threshold` None leaves the edges soft; `polarity` says what is painted.
    """

    size: Size | None = None
    threshold: float | None = None
    polarity: Literal["person", "background"] = "person"


@dataclass(frozen=True)
class Order:
    """What a caller wants of a body.

    `media_type` is what its header says, `declared` the size of a raw picture, `format` the mask's.
    """

    media_type: str
    format: str
    look: Look = Look()
    declared: Size | None = None


@dataclass(frozen=True)
class Matte:
    """An encoded mask."""

    body: bytes
    mask: Mask
    version: int


class Matting:
    """Runs orders: pictures and masks on a few threads, inference in the engine, nothing on the loop."""

    def __init__(self, *, workers: int, max_pixels: int) -> None:
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix="pixels")
        self._max_pixels = max_pixels

    async def run(
        self, body: bytes, order: Order, served: Served, timing: Timing, steadier: Steadier | None = None
    ) -> Matte:
        """The matte of the picture in `body`; raises RequestError and EngineError.

        `steadier` knows the frames before, where the picture is one of a video.
        """
        manifest = served.manifest

        def prepared() -> tuple[Size, Pixels]:
            return self._prepared(body, order, manifest)

        def finished(frame: Size, picture: Pixels, values: Probabilities) -> tuple[Mask, bytes]:
            steadied = steadier(picture, frame, values, manifest) if steadier else None
            return _painted(order, manifest, frame, *(steadied or (values, manifest.output.grid)))

        if served.engine.inline:
            mask, answer = await self._at_once(timing, prepared, served.engine.inline, finished)
        else:
            frame, picture = await self._aside(timing, "decode", prepared)
            with timing.phase("infer"):
                values = await served.engine.infer(picture)
            mask, answer = await self._aside(timing, "encode", lambda: finished(frame, picture, values))
        return Matte(answer, mask, manifest.version)

    async def fitted(self, body: bytes, manifest: Manifest, timing: Timing) -> tuple[Size, Pixels]:
        """An encoded picture's size, and the graph's input; raises RequestError."""
        order = Order("", "png")
        return await self._aside(timing, "decode", lambda: self._prepared(body, order, manifest))

    async def mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""
        order = Order("", "png")
        _, answer = await self._aside(
            timing, "encode", lambda: _painted(order, manifest, frame, values, manifest.output.grid)
        )
        return answer

    def check(self, look: Look) -> None:
        """Raises InvalidParameterError when masks of this size aren't made."""
        if look.size and look.size.pixels > self._max_pixels:
            limit = f"{self._max_pixels} pixels"
            raise InvalidParameterError(f"width, height: expected at most {limit}, received {look.size}")

    def close(self) -> None:
        """Lets the threads go."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _at_once(
        self,
        timing: Timing,
        prepare: Callable[[], tuple[Size, Pixels]],
        infer: Inline,
        finish: Callable[[Size, Pixels, Probabilities], tuple[Mask, bytes]],
    ) -> tuple[Mask, bytes]:
        """All three on one thread, which is woken once instead of three times; what nobody waits for ends early."""
        asked, left = time.perf_counter(), False

        def check() -> None:
            if left:
                raise EngineError("the caller left")

        def work() -> tuple[Mask, bytes]:
            check()
            timing.add("queue", since=asked)
            with timing.phase("decode"):
                frame, picture = prepare()
            check()
            with timing.phase("infer"):
                values = infer(picture)
            check()
            with timing.phase("encode"):
                return finish(frame, picture, values)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except asyncio.CancelledError:
            left = True
            raise

    async def _aside(self, timing: Timing, phase: str, work: Callable[[], T]) -> T:
        """The work's result, computed on one of the threads; waiting for one is the `queue` phase."""
        asked = time.perf_counter()

        def timed() -> T:
            timing.add("queue", since=asked)
            with timing.phase(phase):
                return work()

        return await asyncio.get_running_loop().run_in_executor(self._threads, timed)

    def _prepared(self, body: bytes, order: Order, manifest: Manifest) -> tuple[Size, Pixels]:
        """The frame's size, and the graph's input."""
        self.check(order.look)
        decoder = decoder_for(order.media_type, body)
        header = decoder.header(body, order.declared)
        if header.size.pixels > self._max_pixels:
            limit = f"{self._max_pixels} pixels"
            raise PictureTooLargeError(f"picture: expected at most {limit}, received {header.size}")
        at_least = header.turned(scaled_size(header.upright, manifest))
        pixels = decoder.pixels(body, header, manifest.input.colour, at_least)
        frame = Frame(exif.upright(pixels, header.orientation), header.upright)
        return frame.size, fit(frame, manifest)


def _painted(order: Order, manifest: Manifest, frame: Size, values: Probabilities, grid: Grid) -> tuple[Mask, bytes]:
    size = order.look.size or frame
    alpha = _alpha(values, grid, scaled_size(frame, manifest), size, order.look.threshold)
    coverage = cv2.mean(alpha)[0] / 255
    if order.look.polarity == "background":
        alpha = cv2.bitwise_not(alpha)  # type: ignore[assignment]
    return Mask(alpha, min(coverage, 1.0)), Encoder.registered[order.format].encode(alpha)


def _alpha(values: Probabilities, grid: Grid, scaled: Size, size: Size, threshold: float | None) -> Pixels:
    alpha = np.empty(size, np.uint8)
    if threshold is None:  # scaled and rounded before it is enlarged: weights add up to one
        for rows, band in project(values * np.float32(255) + np.float32(0.5), grid, scaled, size):
            np.copyto(alpha[rows], band, casting="unsafe")
    else:
        for rows, band in project(values, grid, scaled, size):
            np.multiply(band >= threshold, np.uint8(255), out=alpha[rows])
    return alpha
