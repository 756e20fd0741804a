"""Picture formats, one file each."""

from danmatte.codecs import bits, jpeg, nv12, png, raw, rgb24, rle, svg, webp
from danmatte.codecs.codec import Colour, Decoder, Encoder, Header
from danmatte.errors import MediaTypeError

__all__ = [
    "Colour",
    "Decoder",
    "Encoder",
    "Header",
    "bits",
    "decoder_for",
    "jpeg",
    "nv12",
    "png",
    "raw",
    "rgb24",
    "rle",
    "svg",
    "webp",
]

# What clients send when nobody chose a type, curl's default among them, or when they mean a picture by another name.
UNNAMED = frozenset(
    {
        *("", "application/octet-stream", "application/x-www-form-urlencoded", "binary/octet-stream", "*/*"),
        *("image/*", "image/jpg", "image/pjpeg", "image/x-png"),
    }
)
RAW = frozenset({"application/x-nv12", "application/x-rgb24"})


def decoder_for(media_type: str, data: bytes) -> Decoder:
    """The decoder of a body: a raw type as named, otherwise the one whose magic the bytes carry.

    Raises MediaTypeError when the header names a type that isn't served, or the bytes are of none.
    """
    known = ", ".join(Decoder.registered)
    if media_type not in UNNAMED and media_type not in Decoder.registered:
        raise MediaTypeError(f"Content-Type: expected one of {known}, received {media_type!r}")
    if media_type in RAW:
        return Decoder.registered[media_type]
    for decoder in Decoder.registered.values():
        if decoder.claims(data):
            return decoder
    raise MediaTypeError(f"body: expected a picture of type {known}, received bytes {data[:8]!r}")
