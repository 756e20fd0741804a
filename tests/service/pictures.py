"""Valid and invalid pictures for requests."""

import io
import struct
import zlib

import cv2
import numpy as np
from PIL import Image

from danmatte.frame import Pixels

PNG = b"\x89PNG\r\n\x1a\n"


def rectangle(height: int, width: int) -> Pixels:
    """Return a black picture with a white rectangle from 1/4 to 1/2 of the height, and 3/8 to 3/4 of the width."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[height // 4 : height // 2, width * 3 // 8 : width * 3 // 4] = 255
    return pixels


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    """Return smooth noise, which compresses like a photograph."""
    rough = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.GaussianBlur(rough, (0, 0), 2)


def encoded(extension: str, pixels: Pixels) -> bytes:
    """Encode RGB pixels; WebP is lossless."""
    options = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}.get(extension, [])
    return cv2.imencode(extension, pixels[:, :, ::-1], options)[1].tobytes()


def decoded(data: bytes) -> Pixels:
    """Decode a mask to an array (H, W)."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("L"))


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_claiming(width: int, height: int) -> bytes:
    """Return a well-formed PNG of a few bytes that declares this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return PNG + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def jpeg_claiming(width: int, height: int) -> bytes:
    """Return a small JPEG whose frame header declares this size."""
    data = bytearray(encoded(".jpg", rectangle(16, 16)))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def webp_claiming(width: int, height: int) -> bytes:
    """Return an extended WebP whose canvas declares this size."""
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    picture = encoded(".webp", rectangle(16, 16))[12:]
    body = b"WEBP" + b"VP8X" + struct.pack("<I", len(canvas)) + canvas + picture
    return b"RIFF" + struct.pack("<I", len(body)) + body


def turned(orientation: int, pixels: Pixels, kind: str) -> bytes:
    """Encode RGB pixels with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(pixels).save(buffer, kind, exif=exif, **options)
    return buffer.getvalue()
