"""EXIF orientation (CIPA DC-008, TIFF 6.0)."""

import struct

import numpy as np

from danmatte.frame import Pixels

_ORIENTATION = 0x0112
_FLIPS = {
    2: (slice(None), slice(None, None, -1)),
    3: (slice(None, None, -1), slice(None, None, -1)),
    4: (slice(None, None, -1), slice(None)),
    6: (slice(None), slice(None, None, -1)),
    7: (slice(None, None, -1), slice(None, None, -1)),
    8: (slice(None, None, -1), slice(None)),
}


def read_orientation(tiff: bytes) -> int:
    """Return the orientation in an EXIF block, 1 to 8; 1 if it is missing or invalid, as viewers assume."""
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", tiff, entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """Return a stored picture, (H, W, 3), as viewers show it; the same array if it is already upright."""
    if orientation == 1:
        return pixels
    if orientation > 4:
        pixels = pixels.transpose(1, 0, 2)
    return np.ascontiguousarray(pixels[_FLIPS.get(orientation, slice(None))])
