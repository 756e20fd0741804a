"""Masks in this process, without a server: of pictures, of a video's frames, and of whole video files."""

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

import cv2
import numpy as np

from danmatte.codecs import Colour
from danmatte.contract.framing import Framing
from danmatte.contract.manifest import Manifest
from danmatte.contract.places import find_models
from danmatte.errors import InvalidParameterError, PictureError
from danmatte.frame import Frame, Pixels, Size
from danmatte.inference.matting import MaskRequest, Stabilise, decode_frame
from danmatte.models.standalone import open_version
from danmatte.tracks.batch import FinishedTrack, TrackJob, TrackOptions, make_track
from danmatte.tracks.regions import RegionUnion
from danmatte.video.live_stabiliser import LiveStabiliser

__all__ = ["FinishedTrack", "Segmenter", "VideoSegmenter", "matte", "track"]

Picture: TypeAlias = str | os.PathLike[str] | bytes | Pixels
_Place: TypeAlias = str | os.PathLike[str] | None

_MAX_PIXELS = 2**26


class Segmenter:
    """A model, opened once, that makes the masks of many frames; a context manager, and safe to use from many threads.

    Arrays are (H, W, 3) uint8 in the order of `colour`; files and bytes are JPEG, PNG or WebP, and are turned as their
    EXIF says. Masks are (height, width) uint8: 255 where a person is, 0 elsewhere, and soft ones anything between.
    """

    def __init__(
        self,
        model: str = "",
        version: int | None = None,
        *,
        models: _Place = None,
        colour: Colour = "RGB",
        max_pixels: int = _MAX_PIXELS,
    ) -> None:
        """Opens the version: the newest unless given, of the only model unless named.

        `models` is a folder of `<name>/<version>/`; without it `./models`, or the model that comes with danmatte.
        Pictures of more than `max_pixels` pixels are refused undecoded. Raises `danmatte.errors.ServiceError`.
        """
        self._served = open_version(Path(models) if models else find_models(), model, version)
        self._colour, self._max_pixels = colour, max_pixels

    @property
    def manifest(self) -> Manifest:
        """What the opened version says of itself: name, version, input, licence, measurements."""
        return self._served.manifest

    def matte(
        self, picture: Picture, size: tuple[int, int] | None = None, *, soft: bool = False, threshold: float = 0.5
    ) -> Pixels:
        """The mask of one picture, `size` (width, height) pixels large, or as the picture is.

        A pixel is a person's where its probability is at least `threshold`; `soft` gives the probabilities, 0 to 255.
        Raises `danmatte.errors.ServiceError`, and OSError where a file can't be read.
        """
        return self._matte(picture, size, None if soft else threshold)

    def start_video(self, regions: Sequence[str] = ()) -> "VideoSegmenter":
        """Masks of a video's frames in their order, which stand still where people do.

        `regions` are what masks show together, by the names that the model knows them by; the model's own unless given.
        Raises InvalidParameterError for others.
        """
        union = RegionUnion(self.manifest, regions) if regions else None
        return VideoSegmenter(partial(self._matte, union=union))

    def close(self) -> None:
        """Lets the model go; further pictures are refused with EngineError."""
        self._served.engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _matte(
        self,
        picture: Picture,
        size: tuple[int, int] | None,
        threshold: float | None,
        stabilise: Stabilise | None = None,
        union: RegionUnion | None = None,
    ) -> Pixels:
        wanted = Size(size[1], size[0]) if size else None
        if wanted and not (min(wanted) > 0 and wanted.pixels <= self._max_pixels):
            raise InvalidParameterError(f"size: expected at most {self._max_pixels} pixels, received {wanted}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise InvalidParameterError(f"threshold: expected 0 to 1, received {threshold}")
        frame = self._read(picture)
        framing = Framing.of(self.manifest, frame.size)
        fitted = framing.fit(frame)
        engine = self._served.engine
        if union is None:
            values, grid = engine.infer(fitted)[0], self.manifest.regions.grid
        else:
            values, grid = union.select(engine.compute((engine.arrange(fitted),))), union.grid
        if stabilise:
            values, grid = stabilise(fitted, frame.size, values, grid, self.manifest)
        return framing.compute_alpha(values, grid, wanted or frame.size, frame.size, threshold)

    def _read(self, picture: Picture) -> Frame:
        """The picture in the order of colours that the network takes."""
        if isinstance(picture, np.ndarray):
            if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
                raise PictureError(f"array: expected (H, W, 3) uint8, received {picture.shape} {picture.dtype}")
            ordered = (
                picture if self._colour == self.manifest.picture.colour else np.ascontiguousarray(picture[..., ::-1])
            )
            return Frame(ordered, Size(*picture.shape[:2]))
        data = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
        return decode_frame(MaskRequest(data), self.manifest.picture, self._max_pixels)


class VideoSegmenter:
    """Masks of one video's frames, stabilised over time; made by `Segmenter.start_video`, for one thread at a time."""

    def __init__(self, matte: Callable[[Picture, tuple[int, int] | None, float | None, Stabilise], Pixels]) -> None:
        self._matte, self._stabiliser = matte, LiveStabiliser()

    def matte(
        self,
        picture: Picture,
        pts_ms: float,
        size: tuple[int, int] | None = None,
        *,
        soft: bool = False,
        threshold: float = 0.5,
    ) -> Pixels:
        """The mask of the frame that is shown at `pts_ms` milliseconds; the rest is as for `Segmenter.matte`.

        A frame that is earlier than the last one, more than a second later, or of another size, begins anew.
        """
        return self._matte(picture, size, None if soft else threshold, self._stabiliser.expect(pts_ms))


@lru_cache(2)
def _open_once(model: str, version: int | None, models: Path) -> Segmenter:
    return Segmenter(model, version, models=models)


def matte(  # noqa: PLR0913 - options by keyword, each of its own
    picture: Picture,
    size: tuple[int, int] | None = None,
    *,
    soft: bool = False,
    threshold: float = 0.5,
    model: str = "",
    version: int | None = None,
    models: _Place = None,
) -> Pixels:
    """The mask of a picture: a path, the bytes of a JPEG, PNG or WebP, or an (H, W, 3) uint8 array in R, G, B.

    `size` (width, height) is the mask's, the picture's own unless given. The mask is (height, width) uint8, 255 where
    the person's probability is at least `threshold`; `soft` gives the probabilities, 0 to 255. The first call opens
    the model, which takes about half a second, and later ones use it again. See `Segmenter` for the rest.
    """
    folder = (Path(models) if models else find_models()).absolute()
    segmenter = _open_once(model, version, folder)
    return segmenter.matte(picture, size, soft=soft, threshold=threshold)


def track(  # noqa: PLR0913 - options by keyword, each of its own
    video: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (320, 180),
    fps: float = 30.0,
    closer: bool = False,
    margin: float = 0.0,
    raw: bool = False,
    model: str = "",
    models: _Place = None,
) -> FinishedTrack:
    """Writes the mask track of a whole video to `out`, in the format of its suffix, anew if it is there already.

    `size` (width, height) is what the masks fit into, turned for standing pictures; `fps` the most masks a second.
    `closer` looks at people twice, for finer masks; `margin` is added around people, a share of the height up to 0.05;
    `raw` masks aren't stabilised. Raises
    `danmatte.errors.ServiceError`; a video that breaks off gives a track up to there, and a summary that says so.
    """
    options = TrackOptions(Size(size[1], size[0]), fps, raw=raw, again=True, closer=closer, margin=margin)
    served = open_version(Path(models) if models else find_models(), model, for_many=True)
    job, threads, has_loop = TrackJob(Path(video), Path(out)), cv2.getNumThreads(), False
    try:
        cv2.setNumThreads(1)  # every stage of the pipeline has a thread already
        with suppress(RuntimeError):
            has_loop = asyncio.get_running_loop() is not None
        if not has_loop:
            return make_track(job, options, served)
        with ThreadPoolExecutor(1) as other:  # as in a notebook: the pipeline needs a loop of its own
            return other.submit(make_track, job, options, served).result()
    finally:
        cv2.setNumThreads(threads)
