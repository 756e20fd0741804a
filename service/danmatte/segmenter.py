"""Masks made in this process, without a server: of pictures, of a video's frames, and of whole video files."""

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
    """An open model that makes masks of many frames; a context manager, and thread-safe.

    Arrays are (H, W, 3) uint8 with the channel order `colour`. Files and bytes are JPEG, PNG or WebP, and are rotated
    according to their EXIF orientation. Masks are (height, width) uint8: 255 where a person is and 0 elsewhere; soft
    masks also have values in between.
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
        """Open a version, by default the newest of the only model that makes masks.

        `models` is a folder of `<name>/<version>/`, by default `./models`, or otherwise the model that is installed
        with danmatte. Pictures of more than `max_pixels` pixels are rejected without decoding them. Raises
        `danmatte.errors.ServiceError`.
        """
        self._served = open_version(Path(models) if models else find_models(), model, version)
        self._colour, self._max_pixels = colour, max_pixels

    @property
    def manifest(self) -> Manifest:
        """The open version's manifest: name, version, inputs, licence, measurements and more."""
        return self._served.manifest

    def matte(
        self, picture: Picture, size: tuple[int, int] | None = None, *, soft: bool = False, threshold: float = 0.5
    ) -> Pixels:
        """Return the mask of one picture, of `size` (width, height) pixels, by default the picture's size.

        A pixel is a person's if its probability is at least `threshold`. `soft` returns the probabilities instead, 0 to
        255. Raises `danmatte.errors.ServiceError`, and OSError for a file that can't be read.
        """
        return self._matte(picture, size, None if soft else threshold)

    def start_video(self, regions: Sequence[str] = ()) -> "VideoSegmenter":
        """Return a segmenter for the frames of one video, in order, which stabilises their masks over time.

        The masks show the union of `regions`, by default the model's default region. Raises InvalidParameterError for
        unknown regions.
        """
        union = RegionUnion(self.manifest, regions) if regions else None
        return VideoSegmenter(partial(self._matte, union=union))

    def close(self) -> None:
        """Close the model; further calls raise EngineError."""
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
        """Return the picture in the network's channel order."""
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
    """A segmenter of one video's frames, with masks stabilised over time; `Segmenter.start_video` makes it.

    It may be used by one thread at a time.
    """

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
        """Return the mask of the frame that is shown at `pts_ms` milliseconds.

        The other arguments are as for `Segmenter.matte`. A frame that is earlier than the last one, more than a second
        later, or of another size resets the stabiliser.
        """
        return self._matte(picture, size, None if soft else threshold, self._stabiliser.expect(pts_ms))


@lru_cache(2)
def _open_once(model: str, version: int | None, models: Path) -> Segmenter:
    return Segmenter(model, version, models=models)


def matte(  # noqa: PLR0913 - independent options, by keyword
    picture: Picture,
    size: tuple[int, int] | None = None,
    *,
    soft: bool = False,
    threshold: float = 0.5,
    model: str = "",
    version: int | None = None,
    models: _Place = None,
) -> Pixels:
    """Return the mask of a picture: a path, the bytes of a JPEG, PNG or WebP, or an (H, W, 3) uint8 array in R, G, B.

    `size` (width, height) is the mask's size, by default the picture's. The mask is (height, width) uint8, 255 where
    the person's probability is at least `threshold`. `soft` returns the probabilities instead, 0 to 255. The first call
    opens the model, which takes about half a second; later calls reuse it. See `Segmenter` for the other arguments.
    """
    folder = (Path(models) if models else find_models()).absolute()
    segmenter = _open_once(model, version, folder)
    return segmenter.matte(picture, size, soft=soft, threshold=threshold)


def track(  # noqa: PLR0913 - independent options, by keyword
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
    """Write the mask track of a whole video to `out`, in the format of its suffix; an existing file is replaced.

    `size` (width, height) is the maximum size of the masks, with the sides swapped for portrait videos. `fps` is the
    maximum number of masks a second. `closer` runs a second pass over people, for finer masks. `margin` is added around
    people, as a share of the height up to 0.05. `raw` masks aren't stabilised. Raises `danmatte.errors.ServiceError`.
    A truncated video results in a track up to that point, and a summary that says so.
    """
    options = TrackOptions(Size(size[1], size[0]), fps, raw=raw, again=True, closer=closer, margin=margin)
    served = open_version(Path(models) if models else find_models(), model, for_many=True)
    job, threads, has_loop = TrackJob(Path(video), Path(out)), cv2.getNumThreads(), False
    try:
        cv2.setNumThreads(1)  # the pipeline already has a thread for each stage
        with suppress(RuntimeError):
            has_loop = asyncio.get_running_loop() is not None
        if not has_loop:
            return make_track(job, options, served)
        with ThreadPoolExecutor(1) as other:  # the pipeline needs a separate event loop: this thread runs one already
            return other.submit(make_track, job, options, served).result()
    finally:
        cv2.setNumThreads(threads)
