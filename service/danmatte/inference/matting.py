"""From a picture's bytes to the bytes of its mask. All steps run on worker threads, never on the event loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

import cv2
import numpy as np

from danmatte.codecs import Encoder, exif, find_decoder
from danmatte.contract.framing import Framing
from danmatte.contract.grid import Grid
from danmatte.contract.manifest import Manifest
from danmatte.contract.ports import PictureInput
from danmatte.engine import Arrays, Served, arrange_pictures, select_region
from danmatte.errors import InvalidParameterError, PictureTooLargeError
from danmatte.frame import Frame, Mask, Pixels, Probabilities, Size
from danmatte.inference.pool import PhasePool, Phases
from danmatte.inference.tensors import Item
from danmatte.telemetry.timing import Timing
from danmatte.video.silhouette import widen

STUCK_AFTER_S = 20.0
T = TypeVar("T")
# From the graph's input, the frame's size, a region's map, the map's grid and the manifest to a stabilised map and its
# grid.
Stabilise: TypeAlias = Callable[[Pixels, Size, Probabilities, Grid, Manifest], tuple[Probabilities, Grid]]
OWN: Final[Literal["own"]] = "own"


@dataclass(frozen=True)
class MaskOptions:
    """The properties of a requested mask.

    `format` is an encoder's name. `size` None means the frame's size. `threshold` None leaves the edges soft, and OWN
    uses the threshold of each region. `polarity` is what is painted. The mask shows the union of `regions`; without
    any, it shows the model's default region, which is the person if the model finds persons. `margin` is added around
    the regions, as a share of the mask's height.
    """

    format: str = "png"
    size: Size | None = None
    threshold: float | Literal["own"] | None = None
    polarity: Literal["person", "background"] = "person"
    regions: tuple[str, ...] = ()
    margin: float = 0.0


@dataclass(frozen=True)
class MaskRequest:
    """A picture, and the properties of the mask to make of it.

    `media_type` is the picture's declared media type, empty if there is none; `declared` is the size of a raw picture.
    """

    body: bytes
    options: MaskOptions = MaskOptions()
    media_type: str = ""
    declared: Size | None = None


@dataclass(frozen=True)
class Matte:
    """An encoded mask, its pixels, and the number of the version that made it.

    `versions` are all versions that contributed, as `model/version`. `warning` says what was wrong with the picture's
    bytes.
    """

    body: bytes
    mask: Mask
    version: int
    versions: tuple[str, ...] = ()
    warning: str = ""


class RegionSource(NamedTuple):
    """A version, and the regions that are taken from it."""

    served: Served
    regions: tuple[str, ...]


class _Prepared(NamedTuple):
    """A frame's size, its picture at the graph's input size as (1, H, W, 3) uint8, and a warning about its bytes."""

    size: Size
    picture: Pixels
    warning: str


class _Inferred(NamedTuple):
    """A prepared frame with the graph's outputs."""

    size: Size
    picture: Pixels
    warning: str
    outputs: Arrays


class RegionMap(NamedTuple):
    """A region's probabilities, (h, w) float32 in [0, 1], their grid and framing, and the region's threshold."""

    values: Probabilities
    grid: Grid
    framing: Framing
    threshold: float


class Matting:
    """Makes mattes on `workers` threads, from pictures and for masks of at most `max_pixels` pixels.

    A thread that spends longer than `stuck_after_s` in one phase is considered stuck for ever.
    """

    def __init__(self, *, workers: int, max_pixels: int, stuck_after_s: float = STUCK_AFTER_S) -> None:
        self._pool, self._max_pixels, self._stuck_after_s = PhasePool(workers), max_pixels, stuck_after_s

    @property
    def stuck(self) -> bool:
        """Whether a thread has spent longer than `stuck_after_s` in one phase."""
        return self._pool.longest_s > self._stuck_after_s

    async def run(
        self, request: MaskRequest, served: Served, timing: Timing, stabilise: Stabilise | None = None
    ) -> Matte:
        """Return the matte of a picture; raises RequestError and EngineError.

        `stabilise` is given for the frames of a video; it uses the previous frames.
        """
        manifest = served.manifest

        def encode(found: _Inferred) -> Matte:
            maps = list_maps(manifest, request.options.regions, found.size, found.outputs)
            if stabilise:
                steadier = [stabilise(found.picture, found.size, each.values, each.grid, manifest) for each in maps]
                maps = [
                    each._replace(values=values, grid=grid) for each, (values, grid) in zip(maps, steadier, strict=True)
                ]
            matte = paint(request.options, maps, found.size, [manifest])
            return replace(matte, warning=found.warning) if found.warning else matte

        return await self._act(request, served, timing, encode)

    async def run_together(self, request: MaskRequest, sources: Sequence[RegionSource], timing: Timing) -> Matte:
        """Return one matte of the regions of several models; raises RequestError and EngineError."""
        maps: list[RegionMap] = []
        size = Size(1, 1)
        for served, regions in sources:
            select = partial(_select_maps, served.manifest, regions)
            size, found = await self._act(request, served, timing, select)
            maps += found
        manifests = [source.served.manifest for source in sources]
        encode = Phases("encode", lambda: paint(request.options, maps, size, manifests))
        return await self._pool.run(timing, encode)

    async def compute(self, item: Item, served: Served, timing: Timing) -> tuple[Size, Arrays]:
        """Return the size of an item's picture, and the graph's outputs; raises RequestError and EngineError."""
        if any(isinstance(part, bytes) for part in item):
            prepare = Phases("decode", partial(self._arrange, item, served.manifest))
            if served.engine.runs_in_caller:  # in one job, which avoids changes of thread and keeps caches warm
                infer = prepare.then("infer", lambda ready: (ready[0], served.engine.execute(ready[1], [timing])))
                return await self._pool.run(timing, infer)
            with served.batcher.expect():
                size, inputs = await self._pool.run(timing, prepare)
        else:
            size, inputs = self._arrange(item, served.manifest)
            if served.engine.runs_in_caller:
                infer_alone = Phases("infer", lambda: served.engine.execute(inputs, [timing]))
                return size, await self._pool.run(timing, infer_alone)
        return size, await served.batcher.compute(inputs, timing)

    async def encode_mask(self, outputs: Arrays, frame: Size, manifest: Manifest, timing: Timing) -> bytes:
        """Return a soft PNG mask of the model's default region, at the frame's size."""

        def encode() -> bytes:
            return paint(MaskOptions(), list_maps(manifest, (), frame, outputs), frame, [manifest]).body

        return await self._pool.run(timing, Phases("encode", encode))

    def check(self, options: MaskOptions) -> None:
        """Raise InvalidParameterError if the mask would exceed `max_pixels`."""
        if options.size and options.size.pixels > self._max_pixels:
            limit = f"{self._max_pixels} pixels (max_pixels)"
            raise InvalidParameterError(f"width, height: expected at most {limit}, received {options.size}")

    def close(self) -> None:
        """End the threads."""
        self._pool.close()

    async def _act(self, request: MaskRequest, served: Served, timing: Timing, encode: Callable[[_Inferred], T]) -> T:
        """Decode the picture, run the model, and return the result of `encode`."""
        decode = Phases("decode", partial(self._prepare, request, served.manifest.picture))
        if served.engine.runs_in_caller:  # in one job, which avoids changes of thread and keeps caches warm
            infer = decode.then("infer", _infer_with(served, timing))
            return await self._pool.run(timing, infer.then("encode", encode))
        with served.batcher.expect():
            prepared = await self._pool.run(timing, decode)
        outputs = await served.batcher.compute((served.engine.arrange(prepared.picture),), timing)
        found = _Inferred(*prepared, outputs)
        return await self._pool.run(timing, Phases("encode", lambda: encode(found)))

    def _prepare(self, request: MaskRequest, picture: PictureInput) -> _Prepared:
        self.check(request.options)
        frame = decode_frame(request, picture, self._max_pixels)
        return _Prepared(frame.size, Framing.for_picture(picture, frame.size).fit(frame), frame.warning)

    def _arrange(self, item: Item, manifest: Manifest) -> tuple[Size, Arrays]:
        """Return the size of the item's first picture, 1×1 without one, and the graph's inputs."""
        sizes, inputs = [], []
        for part, port in zip(item, manifest.inputs, strict=True):
            if isinstance(part, bytes):
                assert isinstance(port, PictureInput), f"{port.name} takes no pictures"
                prepared = self._prepare(MaskRequest(part), port)
                sizes.append(prepared.size)
                inputs.append(arrange_pictures(port, prepared.picture))
            else:
                if isinstance(port, PictureInput):
                    sizes.append(Size(*(part.shape[1:3] if port.layout == "NHWC" else part.shape[2:4])))
                inputs.append(part)
        return next(iter(sizes), Size(1, 1)), tuple(inputs)


def decode_frame(request: MaskRequest, picture: PictureInput, max_pixels: int) -> Frame:
    """Return the request's picture, upright and in the graph's colour order.

    It may be decoded at a reduced size that is enough for the graph. A picture whose header says more than
    `max_pixels` pixels isn't decoded. Raises RequestError.
    """
    decoder = find_decoder(request.media_type, request.body)
    header = decoder.read_header(request.body, request.declared)
    if header.size.pixels > max_pixels:
        limit = f"{max_pixels} pixels (max_pixels)"
        raise PictureTooLargeError(f"picture: expected at most {limit}, received {header.size}")
    at_least = header.turn(Framing.for_picture(picture, header.upright).scale_size(header.upright))
    pixels = decoder.decode(request.body, header, picture.colour, at_least)
    return Frame(exif.turn_upright(pixels, header.orientation), header.upright, "; ".join(header.warnings))


def list_maps(manifest: Manifest, regions: tuple[str, ...], frame: Size, outputs: Arrays) -> list[RegionMap]:
    """Return the maps of these regions, or of the model's default region, for a frame of this size.

    Raises InvalidParameterError for an unknown region.
    """
    framing, found = Framing.of(manifest, frame), []
    for region in regions or (manifest.default_region,):
        _, port, channel = manifest.find_region(region)
        values = select_region(manifest, outputs, region)[0]
        found.append(RegionMap(values, port.grid, framing, port.channels[channel].threshold))
    return found


def paint(options: MaskOptions, maps: Sequence[RegionMap], frame: Size, manifests: Sequence[Manifest]) -> Matte:
    """Return the matte of a frame of this size, which shows the union of the maps."""
    alpha: Pixels | None = None
    for each in maps:
        threshold = each.threshold if options.threshold == OWN else options.threshold
        layer = each.framing.compute_alpha(each.values, each.grid, options.size or frame, frame, threshold)
        alpha = layer if alpha is None else np.maximum(alpha, layer, out=alpha)
    assert alpha is not None, "a mask is made of at least one map"
    if options.margin:
        alpha = _add_margin(alpha, options.margin * len(alpha), is_hard=options.threshold is not None)
    coverage = min(cv2.mean(alpha)[0] / 255, 1.0)
    if options.polarity == "background":
        alpha = cv2.bitwise_not(alpha)  # type: ignore[assignment]
    versions = tuple(f"{manifest.name}/{manifest.version}" for manifest in manifests)
    body = Encoder.registered[options.format].encode(alpha)
    return Matte(body, Mask(alpha, coverage), manifests[0].version, versions)


def _add_margin(alpha: Pixels, distance: float, *, is_hard: bool) -> Pixels:
    """Return the mask, (H, W) uint8, widened by `distance` pixels."""
    wide = widen(alpha.astype(np.float32) / np.float32(255), distance)
    return np.where(wide >= 0.5, 255, 0).astype(np.uint8) if is_hard else np.rint(255 * wide).astype(np.uint8)


def _infer_with(served: Served, timing: Timing) -> Callable[[_Prepared], _Inferred]:
    engine = served.engine
    return lambda prepared: _Inferred(*prepared, engine.execute((engine.arrange(prepared.picture),), [timing]))


def _select_maps(manifest: Manifest, regions: tuple[str, ...], found: _Inferred) -> tuple[Size, list[RegionMap]]:
    return found.size, list_maps(manifest, regions, found.size, found.outputs)
