"""What a stranger's stream of pictures may ask for: memory is taken by its own words, before a pixel is seen."""

from fractions import Fraction

import av
from av.video.stream import VideoStream

from danmatte.errors import TrackError

MOST_PIXELS = 2**26  # of a frame, 8192 by 8192: decoders keep up to 17 of them
_FATAL = ("bayer_", "yaf32")  # formats by their first letters
_MOST_STRETCHED = 64  # times as wide as high, or as high as wide, that a pixel may be


def limit_stream(stream: VideoStream, name: object) -> None:
    """Has the stream's decoder refuse frames that are too large, whenever they come.

    Raises TrackError where the stream says already that they are, and where its pixels have no shape of pixels.
    """
    context = stream.codec_context
    context.options = {**context.options, "max_pixels": str(MOST_PIXELS)}
    if context.width * context.height > MOST_PIXELS:
        size = f"{context.width}x{context.height}"
        raise TrackError(f"{name}: expected frames of at most {MOST_PIXELS} pixels, received {size}")
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, _MOST_STRETCHED) <= ratio <= _MOST_STRETCHED:
        raise TrackError(
            f"{name}: expected pixels at most {_MOST_STRETCHED} times as long one way as the other, received {ratio}"
        )


def check_frame(frame: av.VideoFrame, name: object) -> av.VideoFrame:
    """The frame; raises TrackError for pixels at which libswscale 9 ends the process, and which no player shows.

    They are a camera's raw mosaic, at some odd heights, and brightness with alpha as floats.
    """
    if frame.format.name.startswith(_FATAL):
        raise TrackError(f"{name}: expected pixels that players show, received {frame.format.name}")
    return frame
