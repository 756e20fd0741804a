"""The messages of `/v1/stream`, byte by byte; uses only the standard library and `danmatte.errors`.

Every message is binary and little-endian, and begins with the magic `DML1`, whose digit is the version of this
layout. A client sends offers, the server sends answers, each in a WebSocket message of its own.

An offer is a header of 20 bytes, then the picture up to the end of the message:

| offset | type   | what                                                                               |
|--------|--------|------------------------------------------------------------------------------------|
| 0      | 4 × u8 | magic, `44 4D 4C 31`                                                               |
| 4      | u8     | 1, an offer                                                                        |
| 5      | u8     | picture: 0 JPEG, PNG or WebP (its bytes tell which), 1 NV12, 2 RGB24               |
| 6      | u16    | 0                                                                                  |
| 8      | f64    | pts in milliseconds, finite; it comes back bit by bit                              |
| 16     | u16    | width, of an NV12 or RGB24 picture in pixels; 0 with the others, who know their own |
| 18     | u16    | height, the same                                                                   |
| 20     |        | the picture                                                                        |

An answer is a header of 56 bytes, the pts that were skipped, then the mask or the error:

| offset | type    | what                                                                              |
|--------|---------|-----------------------------------------------------------------------------------|
| 0      | 4 × u8  | magic, `44 4D 4C 31`                                                              |
| 4      | u8      | 2, an answer                                                                      |
| 5      | u8      | flags: 1 a cut was seen before this frame, 2 the mask is held from an earlier one  |
| 6      | u16     | status: 200, or the error's, as HTTP would have it                                |
| 8      | f64     | the offer's pts                                                                   |
| 16     | u16     | the mask's width in pixels; 0 with an error                                       |
| 18     | u16     | the mask's height, the same                                                       |
| 20     | f32     | coverage, the person's share of the frame, 0 to 1; 0 with an error                |
| 24     | u64     | version of the model; 0 with an error                                             |
| 32     | 4 × f32 | milliseconds: waiting (since the offer arrived), decoding, inference, encoding    |
| 48     | u32     | n, how many offers were skipped between the answer before and this one            |
| 52     | u32     | bytes of the body                                                                 |
| 56     | n × f64 | pts of the skipped ones, as they came                                             |
| 56+8n  |         | body: the mask in the format that the query named, or, when the status isn't 200, |
|        |         | UTF-8 JSON `{"error", "code", "status", "request_id"}`                            |

Every offer is answered or skipped, never both, and answers come in the order of their offers. When offers come
faster than they are answered, only the newest waits: the one that waited before is skipped, and the next answer
says so. A picture that can't be served costs its own answer only; the connection goes on.

The query is `/v1/mattes`' without `pts`: `model`, `version`, `label`, `width`, `height`, `format`, `soft`,
`threshold`, `polarity`; and `stabilise=true` for masks that stand still where people do. A refusal before
the upgrade is an HTTP status with that same JSON. After it, the server closes with

| code | why                                                                                             |
|------|-------------------------------------------------------------------------------------------------|
| 1000 | no offer came for long; connect again with the next one                                         |
| 1001 | the server is going, and everything it took is answered; connect again                          |
| 1002 | a message that doesn't begin with the magic and a whole header                                  |
| 1003 | a text message                                                                                  |
| 1008 | answers weren't read in time, thousands of offers came within one, or the key was revoked       |
| 1009 | a message over the server's limit                                                               |
| 1011 | an error of the server's own                                                                    |
| 1013 | another caller needed the connection, as all were taken; connect again                          |
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
    """How an offer's picture is written."""

    ENCODED = 0
    NV12 = 1
    RGB24 = 2


class FrameFlags(IntFlag):
    """What an answer says of time."""

    NONE = 0
    CUT = 1
    HELD = 2


class Spent(NamedTuple):
    """Milliseconds a frame spent in each phase."""

    waiting: float = 0.0
    decoding: float = 0.0
    inference: float = 0.0
    encoding: float = 0.0


def read_pts(message: bytes) -> float | None:
    """The pts of an offer that may be bad in any other way; None when it isn't one of this layout."""
    if len(message) < OFFER_HEADER_BYTES or not message.startswith(MAGIC):
        return None
    return float(_OFFERED.unpack_from(message)[4])


@dataclass(frozen=True)
class Offer:
    """A frame, `size` (width, height) in pixels when it is raw."""

    pts: float
    body: bytes
    picture: Picture = Picture.ENCODED
    size: tuple[int, int] = (0, 0)

    def pack(self) -> bytes:
        """The message."""
        return _OFFERED.pack(MAGIC, _OFFER, self.picture, 0, self.pts, *self.size) + self.body

    @classmethod
    def unpack(cls, message: bytes) -> "Offer":
        """The offer in a message that `read_pts` knows; raises BodyError, naming the field."""
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
    """A mask, `size` (width, height), or an error in JSON; `skipped` are the pts passed over before it."""

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
        """The message."""
        counts = (len(self.skipped), len(self.body))
        about = (self.status, self.pts, *self.size, self.coverage, self.version)
        header = _ANSWERED.pack(MAGIC, _ANSWER, self.flags, *about, *self.spent, *counts)
        return b"".join((header, struct.pack(f"<{len(self.skipped)}d", *self.skipped), self.body))

    @classmethod
    def unpack(cls, message: bytes) -> "Answer":
        """The answer in a message; raises BodyError, naming the field."""
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
