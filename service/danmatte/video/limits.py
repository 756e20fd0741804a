"""Limits for untrusted video streams, whose headers decide how much memory a decoder allocates."""

from fractions import Fraction

import av
from av.video.stream import VideoStream

from danmatte.errors import TrackError

MAX_FRAME_PIXELS = 2**26  # 8192 by 8192; decoders keep up to 17 frames
_FATAL = ("bayer_", "yaf32")  # prefixes of pixel formats
_MAX_PIXEL_RATIO = 64  # of a pixel's longer side to its shorter one


def limit_stream(stream: VideoStream, name: object) -> None:
    """Make the stream's decoder reject frames that are too large, wherever they occur.

    Raises TrackError if the stream already states too large a frame size or an absurd pixel aspect ratio.
    """
    context = stream.codec_context
    context.options = {**context.options, "max_pixels": str(MAX_FRAME_PIXELS)}
    if context.width * context.height > MAX_FRAME_PIXELS:
        size = f"{context.width}x{context.height}"
        raise TrackError(f"{name}: expected frames of at most {MAX_FRAME_PIXELS} pixels, received {size}")
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MAX_PIXEL_RATIO) <= ratio <= _MAX_PIXEL_RATIO:
        limits = f"1:{_MAX_PIXEL_RATIO} to {_MAX_PIXEL_RATIO}:1"
        raise TrackError(f"{name}: expected a pixel aspect ratio of {limits}, received {ratio}")


def check_frame(frame: av.VideoFrame, name: object) -> av.VideoFrame:
    """Return the frame; raises TrackError for pixel formats that crash the process in libswscale 9.

    These are the raw Bayer mosaic of cameras, at some odd heights, and brightness with alpha as floats. No player shows
    them.
    """
    if frame.format.name.startswith(_FATAL):
        raise TrackError(f"{name}: expected pixels that players show, received {frame.format.name}")
    return frame
