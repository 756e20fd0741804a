"""From a picture's bytes to its mask's bytes: decoded, inferred, painted and encoded on threads, never on the loop."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import cv2

from danmatte.codecs import Encoder, exif, find_decoder
from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.engine import Served
from danmatte.errors import InvalidParameterError, PictureTooLargeError
from danmatte.frame import Frame, Mask, Pixels, Probabilities, Size
from danmatte.inference.pool import PhasePool, Phases
from danmatte.telemetry.timing import Timing

STUCK_AFTER_S = 20.0
# From the graph's input, the frame's size and the graph's output to a better output, and where its values lie.
Stabilise: TypeAlias = Callable[[Pixels, Size, Probabilities, Manifest], tuple[Probabilities, Grid]]


@dataclass(frozen=True)
class MaskOptions:
    """What a mask is like.

    `format` is an encoder's name. `size` None is the frame's own; `threshold` None leaves the edges soft; `polarity`
    is what is painted.
    """

    format: str = "png"
    size: Size | None = None
    threshold: float | None = None
    polarity: Literal["person", "background"] = "person"


@dataclass(frozen=True)
class MaskRequest:
    """A picture and the mask wanted of it.

    `media_type` is what the picture's sender calls it, empty if nothing; `declared` the size of a raw picture.
    """

    body: bytes
    options: MaskOptions = MaskOptions()
    media_type: str = ""
    declared: Size | None = None


@dataclass(frozen=True)
class Matte:
    """An encoded mask, its pixels, and the version that made it."""

    body: bytes
    mask: Mask
    version: int


class _Prepared(NamedTuple):
    """A frame's size, and the graph's input: (1, H, W, 3) uint8."""

    size: Size
    picture: Pixels


class _Inferred(NamedTuple):
    """The same with the graph's output: (h, w) float32 in [0, 1]."""

    size: Size
    picture: Pixels
    values: Probabilities


class Matting:
    """Makes mattes: `workers` threads, and pictures and masks of at most `max_pixels`.

    A thread that does one thing for longer than `stuck_after_s` is taken to be stuck for ever.
    """

    def __init__(self, *, workers: int, max_pixels: int, stuck_after_s: float = STUCK_AFTER_S) -> None:
        self._pool, self._max_pixels, self._stuck_after_s = PhasePool(workers), max_pixels, stuck_after_s

    @property
    def stuck(self) -> bool:
        """Whether a thread doesn't come back from what it does."""
        return self._pool.longest_s > self._stuck_after_s

    async def run(
        self, request: MaskRequest, served: Served, timing: Timing, stabilise: Stabilise | None = None
    ) -> Matte:
        """The matte of a picture; raises RequestError and EngineError.

        `stabilise` knows the frames before, where the picture is one of a video.
        """
        manifest = served.manifest

        def encode(found: _Inferred) -> Matte:
            values, grid = found.values, manifest.output.grid
            if stabilise:
                values, grid = stabilise(found.picture, found.size, values, manifest)
            return paint(request.options, manifest, found.size, values, grid)

        decode = Phases("decode", partial(self._prepare, request, manifest))
        if served.engine.runs_in_caller:  # one job: no handover, and warm caches
            return await self._pool.run(timing, decode.then("infer", _infer_with(served)).then("encode", encode))
        prepared = await self._pool.run(timing, decode)
        found = _Inferred(*prepared, await served.batcher.infer(prepared.picture, timing))
        return await self._pool.run(timing, Phases("encode", lambda: encode(found)))

    async def infer_picture(self, body: bytes, served: Served, timing: Timing) -> tuple[Size, Probabilities]:
        """An encoded picture's size, and the graph's output for it; raises RequestError and EngineError."""
        decode = Phases("decode", partial(self._prepare, MaskRequest(body), served.manifest))
        if served.engine.runs_in_caller:  # one job: no handover, and warm caches
            found = await self._pool.run(timing, decode.then("infer", _infer_with(served)))
            return found.size, found.values
        prepared = await self._pool.run(timing, decode)
        return prepared.size, await served.batcher.infer(prepared.picture, timing)

    async def infer_pixels(self, picture: Pixels, served: Served, timing: Timing) -> Probabilities:
        """The graph's output (h, w) for its input (1, H, W, 3); raises EngineError."""
        if not served.engine.runs_in_caller:
            return await served.batcher.infer(picture, timing)
        values: Probabilities = await self._pool.run(timing, Phases("infer", lambda: served.engine.infer(picture)[0]))
        return values

    async def encode_mask(self, values: Probabilities, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """A soft PNG mask of the frame's size."""
        encode = Phases("encode", lambda: paint(MaskOptions(), manifest, frame, values, manifest.output.grid).body)
        return await self._pool.run(timing, encode)

    def check(self, options: MaskOptions) -> None:
        """Raises InvalidParameterError when masks of this size aren't made."""
        if options.size and options.size.pixels > self._max_pixels:
            limit = f"{self._max_pixels} pixels"
            raise InvalidParameterError(f"width, height: expected at most {limit}, received {options.size}")

    def close(self) -> None:
        """Lets the threads go."""
        self._pool.close()

    def _prepare(self, request: MaskRequest, manifest: Manifest) -> _Prepared:
        self.check(request.options)
        frame = decode_frame(request, manifest, self._max_pixels)
        return _Prepared(frame.size, Framing.of(manifest).fit(frame))


def decode_frame(request: MaskRequest, manifest: Manifest, max_pixels: int) -> Frame:
    """The request's picture, upright, in the graph's order of colours, and maybe reduced to what the graph needs.

    Raises RequestError; a picture that claims more than `max_pixels` pixels isn't decoded.
    """
    decoder = find_decoder(request.media_type, request.body)
    header = decoder.read_header(request.body, request.declared)
    if header.size.pixels > max_pixels:
        raise PictureTooLargeError(f"picture: expected at most {max_pixels} pixels, received {header.size}")
    at_least = header.turn(Framing.of(manifest).scale_size(header.upright))
    pixels = decoder.decode(request.body, header, manifest.input.colour, at_least)
    return Frame(exif.turn_upright(pixels, header.orientation), header.upright)


def _infer_with(served: Served) -> Callable[[_Prepared], _Inferred]:
    return lambda prepared: _Inferred(*prepared, served.engine.infer(prepared.picture)[0])


def paint(options: MaskOptions, manifest: Manifest, frame: Size, values: Probabilities, grid: Grid) -> Matte:
    """The mask of a frame of this size, from probabilities whose grid is in pixels of the graph's input."""
    alpha = Framing.of(manifest).compute_alpha(values, grid, options.size or frame, frame, options.threshold)
    coverage = min(cv2.mean(alpha)[0] / 255, 1.0)
    if options.polarity == "background":
        alpha = cv2.bitwise_not(alpha)  # type: ignore[assignment]
    return Matte(Encoder.registered[options.format].encode(alpha), Mask(alpha, coverage), manifest.version)
