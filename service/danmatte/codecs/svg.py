"""Masks as an SVG path, in the document that web players expect: tenths of a pixel, y upwards."""

from danmatte.codecs.codec import Encoder, to_bits
from danmatte.codecs.outline import chamfer, trace_outlines
from danmatte.frame import Bits, Pixels, Size

_DOCUMENT = (
    '<svg version="1.0" xmlns="http://www.w3.org/2000/svg" width="{width}.000000px" height="{height}.000000px"'
    ' viewBox="0 0 {width}.000000 {height}.000000" preserveAspectRatio="none">'
    '<g transform="translate(0.000000,{height}.000000) scale(0.100000,-0.100000)" fill="#000000" stroke="none">'
    '<path d="{path}"/></g></svg>'
)
_TENTHS = 5  # in half a pixel


class SvgMask(Encoder):
    """A filled path of the pixels that are at least half painted; exact at the pixels' centres and at the borders."""

    format = "svg"
    media_type = "image/svg+xml"

    def encode(self, alpha: Pixels) -> bytes:
        return format_svg(to_bits(alpha))


def format_svg(bits: Bits) -> bytes:
    """Return the SVG document that fills the true pixels of (H, W), with the commands `M`, `m`, `l` and `z`."""
    height, width = bits.shape
    words: list[str] = []
    pen_x, pen_y = 0, 2 * height
    for outline in trace_outlines(bits):
        points = chamfer(outline, Size(height, width))
        steps = ((points[1:] - points[:-1]) * (_TENTHS, -_TENTHS)).ravel().tolist()
        x, y = points[0].tolist()
        start = f"{(x - pen_x) * _TENTHS} {(pen_y - y) * _TENTHS}"  # `m` is relative to the previous outline's start
        words.append(f"{'m' if words else 'M'}{start}l{' '.join(map(str, steps))}z")
        pen_x, pen_y = x, y
    return _DOCUMENT.format(width=width, height=height, path="".join(words)).encode()
