"""The use case: a picture's bytes in, its mask's bytes out. Knows no HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import cv2
import numpy as np

from danmatte.codecs import Encoder, exif, find_decoder
from danmatte.contract.framing import Framing, project
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.engine import Served
from danmatte.errors import InvalidParameterError, PictureTooLargeError
from danmatte.frame import Frame, Mask, Pixels, Probabilities, Size
from danmatte.inference.pool import Threads, Work
from danmatte.telemetry.metrics import Timing

# From the graph's input, the frame's size and the graph's output to a better output, and where its values lie.
Steadier: TypeAlias = Callable[[Pixels, Size, Probabilities, Manifest], tuple[Probabilities, Grid]]
_Seen: TypeAlias = tuple[Size, Pixels, Probabilities]  # a frame's size, the graph's input and its output


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
    """Runs orders: pictures, masks and most inference on a few threads, nothing on the loop."""

    def __init__(self, *, workers: int, max_pixels: int) -> None:
        self._threads = Threads(workers)
        self._max_pixels = max_pixels

    async def run(
        self, body: bytes, order: Order, served: Served, timing: Timing, steadier: Steadier | None = None
    ) -> Matte:
        """The matte of the picture in `body`; raises RequestError and EngineError.

        `steadier` knows the frames before, where the picture is one of a video.
        """
        manifest = served.manifest

        def finished(seen: _Seen) -> tuple[Mask, bytes]:
            frame, picture, values = seen
            steadied = steadier(picture, frame, values, manifest) if steadier else None
            return _painted(order, manifest, frame, *(steadied or (values, manifest.output.grid)))

        mask, answer = await self._through(body, order, served, timing, encode=finished)
        return Matte(answer, mask, manifest.version)

    async def looked(self, body: bytes, served: Served, timing: Timing) -> tuple[Size, Probabilities]:
        """An encoded picture's size, and the graph's output for it; raises RequestError and EngineError."""
        frame, _, values = await self._through(body, Order("", "png"), served, timing)
        return frame, values

    async def infer(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        """As the engine's, on one of the threads here where the engine lets them; raises EngineError."""
        engine = served.engine
        if not engine.runs_in_caller:
            return await served.batcher.infer(picture, timing)
        values: Probabilities = await self._threads.run(timing, infer=lambda _: engine.infer(picture)[0])
        return values

    async def mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""
        order = Order("", "png")
        painted: tuple[Mask, bytes] = await self._threads.run(
            timing, encode=lambda _: _painted(order, manifest, frame, values, manifest.output.grid)
        )
        return painted[1]

    def check(self, look: Look) -> None:
        """Raises InvalidParameterError when masks of this size aren't made."""
        if look.size and look.size.pixels > self._max_pixels:
            limit = f"{self._max_pixels} pixels"
            raise InvalidParameterError(f"width, height: expected at most {limit}, received {look.size}")

    def close(self) -> None:
        """Lets the threads go."""
        self._threads.close()

    async def _through(
        self, body: bytes, order: Order, served: Served, timing: Timing, encode: Work | None = None
    ) -> Any:
        """What was seen of the picture, or what `encode` makes of that: one job, where the engine lets it be."""
        engine = served.engine

        def prepared(_: None) -> tuple[Size, Pixels]:
            return self._prepared(body, order, served.manifest)

        if engine.runs_in_caller:
            phases: dict[str, Work] = {"decode": prepared, "infer": lambda given: (*given, engine.infer(given[1])[0])}
            return await self._threads.run(timing, **(phases | ({"encode": encode} if encode else {})))
        frame, picture = await self._threads.run(timing, decode=prepared)
        seen = frame, picture, await served.batcher.infer(picture, timing)
        return await self._threads.run(timing, encode=lambda _: encode(seen)) if encode else seen

    def _prepared(self, body: bytes, order: Order, manifest: Manifest) -> tuple[Size, Pixels]:
        """The frame's size, and the graph's input."""
        self.check(order.look)
        decoder = find_decoder(order.media_type, body)
        header = decoder.read_header(body, order.declared)
        if header.size.pixels > self._max_pixels:
            limit = f"{self._max_pixels} pixels"
            raise PictureTooLargeError(f"picture: expected at most {limit}, received {header.size}")
        framing = Framing.of(manifest)
        at_least = header.turn(framing.scale_size(header.upright))
        pixels = decoder.decode(body, header, manifest.input.colour, at_least)
        frame = Frame(exif.turn_upright(pixels, header.orientation), header.upright)
        return frame.size, framing.fit(frame)


def _painted(order: Order, manifest: Manifest, frame: Size, values: Probabilities, grid: Grid) -> tuple[Mask, bytes]:
    size = order.look.size or frame
    alpha = _alpha(values, grid, Framing.of(manifest).scale_size(frame), size, order.look.threshold)
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
