"""The binary messages of `/v1/stream`. This module uses only the standard library and `danmatte.errors`.

Every message is binary and little-endian, and begins with the magic bytes `DML1`, whose digit is the version of this
layout. A client sends offers and the server sends answers, each as one binary WebSocket message.

An offer is a header of 20 bytes, followed by the picture:

| offset | type   | what                                                                               |
|--------|--------|------------------------------------------------------------------------------------|
| 0      | 4 × u8 | magic, `44 4D 4C 31`                                                               |
| 4      | u8     | 1, an offer                                                                        |
| 5      | u8     | picture: 0 JPEG, PNG or WebP (its bytes tell which), 1 NV12, 2 RGB24               |
| 6      | u16    | reserved, 0                                                                        |
| 8      | f64    | pts in milliseconds, finite; the answer repeats it bit for bit                     |
| 16     | u16    | width of an NV12 or RGB24 picture in pixels; 0 for JPEG, PNG and WebP              |
| 18     | u16    | height, as for the width                                                           |
| 20     |        | the picture, up to the end of the message                                          |

An answer is a header of 56 bytes, followed by the pts of skipped offers, then the mask or the error:

| offset | type    | what                                                                              |
|--------|---------|-----------------------------------------------------------------------------------|
| 0      | 4 × u8  | magic, `44 4D 4C 31`                                                              |
| 4      | u8      | 2, an answer                                                                      |
| 5      | u8      | flags: 1 = a cut precedes this frame, 2 = the mask was held from an earlier frame |
| 6      | u16     | status: 200, or the HTTP status of the error                                      |
| 8      | f64     | the offer's pts                                                                   |
| 16     | u16     | width of the mask in pixels; 0 for an error                                       |
| 18     | u16     | height of the mask in pixels; 0 for an error                                      |
| 20     | f32     | coverage, the share of the frame covered by people, 0 to 1; 0 for an error        |
| 24     | u64     | version of the model; 0 for an error                                              |
| 32     | 4 × f32 | milliseconds: waiting (since the offer arrived), decoding, inference, encoding    |
| 48     | u32     | n, the number of offers skipped between the previous answer and this one          |
| 52     | u32     | length of the body in bytes                                                       |
| 56     | n × f64 | pts of the skipped offers, in order of arrival                                    |
| 56+8n  |         | body: the mask in the format of the query, or, if the status isn't 200, UTF-8     |
|        |         | JSON `{"error", "code", "status", "request_id"}`                                  |

Every offer is either answered or skipped, and answers are sent in the order of their offers. If offers arrive faster
than the server can answer them, only the newest one waits: it replaces the one waiting before, and the next answer
lists the replaced ones as skipped. An error of one picture is reported in its answer; the connection stays open.

The query parameters are those of `/v1/mattes` except `pts`: `model`, `version`, `label`, `width`, `height`, `format`,
`soft`, `threshold`, `margin`, `polarity`, `region`; and `stabilise=true` for masks that are stabilised over time. An
error before the upgrade is an HTTP response with the same JSON. After the upgrade, the server closes the connection
with one of these codes:

| code | reason                                                                                          |
|------|-------------------------------------------------------------------------------------------------|
| 1000 | no offer arrived for a long time; reconnect for the next one                                    |
| 1001 | the server is shutting down, and has answered all accepted offers; reconnect                    |
| 1002 | a message doesn't begin with the magic bytes and a complete header                              |
| 1003 | a text message was received                                                                     |
| 1008 | answers weren't read in time, thousands of offers arrived during one answer, or the key was     |
|      | revoked                                                                                         |
| 1009 | a message exceeds the size limit                                                                |
| 1011 | an internal server error                                                                        |
| 1013 | all connections were in use, and this one was closed for another client; reconnect              |
"""

import math
import struct
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import NamedTuple

from danmatte.errors import BodyError

MAGIC = b"DML1"
_OFFER, _ANSWER = 1, 2
_OFFERED = struct.Struct("<4sBBHdHH")
_ANSWERED = struct.Struct("<4sBBHdHHfQ4fII")
OFFER_HEADER_BYTES = _OFFERED.size


class Picture(IntEnum):
    """Encoding of an offer's picture."""

    ENCODED = 0
    NV12 = 1
    RGB24 = 2


class FrameFlags(IntFlag):
    """Flags of an answer about its relation to earlier frames."""

    NONE = 0
    CUT = 1
    HELD = 2


class Spent(NamedTuple):
    """Milliseconds that a frame spent in each phase."""

    waiting: float = 0.0
    decoding: float = 0.0
    inference: float = 0.0
    encoding: float = 0.0


def read_pts(message: bytes) -> float | None:
    """Return the pts of an offer, None if the message isn't one of this layout; other fields aren't checked."""
    if len(message) < OFFER_HEADER_BYTES or not message.startswith(MAGIC):
        return None
    return float(_OFFERED.unpack_from(message)[4])


@dataclass(frozen=True)
class Offer:
    """A frame. `size` is its (width, height) in pixels if it is raw, otherwise (0, 0)."""

    pts: float
    body: bytes
    picture: Picture = Picture.ENCODED
    size: tuple[int, int] = (0, 0)

    def pack(self) -> bytes:
        """Return the offer as a message."""
        return _OFFERED.pack(MAGIC, _OFFER, self.picture, 0, self.pts, *self.size) + self.body

    @classmethod
    def unpack(cls, message: bytes) -> "Offer":
        """Parse a message for which `read_pts` returned a pts; raises BodyError that names the field."""
        _, kind, picture, zero, pts, *size = _OFFERED.unpack_from(message)
        _expect("kind", kind, kind == _OFFER, "1, an offer")
        _expect("picture", picture, picture in tuple(Picture), f"0 to {max(Picture)}")
        _expect("offset 6", zero, zero == 0, "0")
        _expect("pts", pts, math.isfinite(pts), "finite milliseconds")
        raw = picture != Picture.ENCODED
        _expect("width, height", size, all(size) if raw else not any(size), "sides of a raw picture, else zeros")
        _expect("picture", "nothing", len(message) > _OFFERED.size, "bytes")
        return cls(pts, message[_OFFERED.size :], Picture(picture), (size[0], size[1]))


@dataclass(frozen=True)
class Answer:
    """A mask of `size` (width, height) pixels, or an error as JSON; `skipped` are the pts of offers skipped before."""

    pts: float
    body: bytes
    status: int = 200
    flags: FrameFlags = FrameFlags.NONE
    size: tuple[int, int] = (0, 0)
    coverage: float = 0.0
    version: int = 0
    spent: Spent = field(default=Spent())
    skipped: tuple[float, ...] = ()

    def pack(self) -> bytes:
        """Return the answer as a message."""
        counts = (len(self.skipped), len(self.body))
        about = (self.status, self.pts, *self.size, self.coverage, self.version)
        header = _ANSWERED.pack(MAGIC, _ANSWER, self.flags, *about, *self.spent, *counts)
        return b"".join((header, struct.pack(f"<{len(self.skipped)}d", *self.skipped), self.body))

    @classmethod
    def unpack(cls, message: bytes) -> "Answer":
        """Parse a message; raises BodyError that names the field."""
        _expect("answer", f"{len(message)} bytes", len(message) >= _ANSWERED.size, f"{_ANSWERED.size} bytes or more")
        magic, kind, flags, status, pts, width, height, coverage, version, *rest = _ANSWERED.unpack_from(message)
        _expect("magic", (magic, kind), (magic, kind) == (MAGIC, _ANSWER), "DML1, then 2, an answer")
        spent, (count, length) = Spent(*rest[:4]), rest[4:]
        start = _ANSWERED.size + 8 * count
        _expect("length", len(message), start + length == len(message), f"{start + length} bytes")
        skipped = struct.unpack_from(f"<{count}d", message, _ANSWERED.size)
        body, size = message[start:], (width, height)
        return cls(pts, body, status, FrameFlags(flags), size, coverage, version, spent, skipped)


def _expect(name: str, received: object, holds: bool, expected: str) -> None:
    if not holds:
        raise BodyError(f"message: {name}: expected {expected}, received {received!r}")
