"""Decoders of picture formats and encoders of mask formats, one file each.

To add a format, add a file here and a line to the imports below.
"""

from danmatte.codecs import bits as bits
from danmatte.codecs import jpeg as jpeg
from danmatte.codecs import nv12 as nv12
from danmatte.codecs import png as png
from danmatte.codecs import raw as raw
from danmatte.codecs import rgb24 as rgb24
from danmatte.codecs import rle as rle
from danmatte.codecs import svg as svg
from danmatte.codecs import webp as webp
from danmatte.codecs.codec import Colour, Decoder, Encoder, PictureHeader, RawDecoder, find_decoder, needs_size

__all__ = ["Colour", "Decoder", "Encoder", "PictureHeader", "RawDecoder", "find_decoder", "needs_size"]
