"""Decoders of 1-bit masks, written from the specifications, without code of the encoders that they check."""

import json
import re
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np

from danmatte.frame import Pixels

SVG = "{http://www.w3.org/2000/svg}"


def from_bits(data: bytes, height: int, width: int) -> Pixels:
    """Decode a zlib stream of rows of whole bytes; the leftmost pixel is the highest bit."""
    rows = zlib.decompress(data)
    stride = (width + 7) // 8
    assert len(rows) == height * stride
    at = [[rows[y * stride + x // 8] >> (7 - x % 8) & 1 for x in range(width)] for y in range(height)]
    return np.array(at, np.uint8) * np.uint8(255)


def from_rle(data: bytes) -> Pixels:
    """Decode COCO's RLE, as `rleFrString` and `rleDecode` of cocoapi's maskApi.c do."""
    encoded = json.loads(data)
    height, width = encoded["size"]
    text, counts, place = encoded["counts"].encode(), [], 0
    while place < len(text):
        value, group, more = 0, 0, True
        while more:
            character = text[place] - 48
            value |= (character & 0x1F) << 5 * group
            more = bool(character & 0x20)
            place, group = place + 1, group + 1
            if not more and character & 0x10:
                value |= -1 << 5 * group
        if len(counts) > 2:
            value += counts[-2]
        counts.append(value)
    line = [255 * (run % 2) for run, count in enumerate(counts) for _ in range(count)]
    return np.array(line, np.uint8).reshape(width, height).T


def from_svg(data: bytes) -> Pixels:
    """Return the pixels whose centres a browser would fill, by the nonzero rule in the group's coordinates."""
    picture = ElementTree.fromstring(data.decode())
    assert picture.tag == f"{SVG}svg"
    width, height = (int(float(picture.attrib[side].removesuffix("px"))) for side in ("width", "height"))
    assert picture.attrib["viewBox"].split() == ["0", "0", f"{width}.000000", f"{height}.000000"]
    group = picture.find(f"{SVG}g")
    assert group.attrib["transform"] == f"translate(0.000000,{height}.000000) scale(0.100000,-0.100000)"
    outlines = [corners for path in group.iter(f"{SVG}path") for corners in list_outlines(path.attrib["d"])]
    mask = np.zeros((height, width), np.uint8)
    for row in range(height):
        crossings = [crossing for corners in outlines for crossing in find_crossings(corners, 10 * (height - row) - 5)]
        for column in range(width):
            winding = sum(way for x, way in crossings if x < 10 * column + 5)
            mask[row, column] = 255 * (winding != 0)
    return mask


def list_outlines(path: str) -> list[list[tuple[float, float]]]:
    """Return the corners of a path's outlines, which must be straight."""
    outlines, x, y = [], 0.0, 0.0
    for letter, text in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        numbers = [float(number) for number in text.split()]
        assert letter in "Mmlz", letter
        if letter == "z":
            x, y = outlines[-1][0]
        elif letter != "l":
            outlines.append([])
        for dx, dy in zip(numbers[0::2], numbers[1::2], strict=True):
            x, y = (dx, dy) if letter == "M" else (x + dx, y + dy)
            outlines[-1].append((x, y))
    return outlines


def find_crossings(corners: list[tuple[float, float]], y: float) -> list[tuple[float, int]]:
    """Return the x of each crossing of an outline with a horizontal line, and 1 if it rises or −1."""
    found = []
    for (x0, y0), (x1, y1) in zip(corners, [*corners[1:], corners[0]], strict=True):
        if (y0 <= y) != (y1 <= y):
            found.append((x0 + (y - y0) * (x1 - x0) / (y1 - y0), 1 if y1 > y0 else -1))
    return found
