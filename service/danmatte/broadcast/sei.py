"""Masks within H.264: messages of `user_data_unregistered` (ITU-T H.264, D.1.7), a UUID and the bytes that follow it.

A packet is one picture's NAL units, after start codes (Annex B) or after their lengths, as the stream's head says
(ISO/IEC 14496-15). The message comes before the picture's own first unit.
"""

from collections.abc import Iterator

from danmatte.errors import TrackError

UUID = bytes.fromhex("c9a37a5e0b4d5d5e8f0e64616e6d6174")  # ends in "danmat"
_SEI, _UNREGISTERED = 6, 5
_SLICES = range(1, 6)  # NAL types of coded pictures
_START = b"\0\0\0\1"


def read_length_bytes(head: bytes | None) -> int | None:
    """How many bytes a unit's length has, from the stream's head (`extradata`); None for start codes."""
    return (head[4] & 3) + 1 if head and len(head) > 6 and head[0] == 1 else None


def insert_message(packet: bytes, payload: bytes, length_bytes: int | None) -> bytes:
    """The packet with a message; raises TrackError where it has no picture."""
    unit = write_unit(payload)
    for kind, start in _find_units(packet, length_bytes):
        if kind in _SLICES:
            lead = _START if length_bytes is None else len(unit).to_bytes(length_bytes, "big")
            return packet[:start] + lead + unit + packet[start:]
    raise TrackError("H.264: expected a picture in the packet")


def write_unit(payload: bytes) -> bytes:
    """A NAL unit with one message."""
    body, size = UUID + payload, len(UUID) + len(payload)
    sizes = b"\xff" * (size // 255) + bytes([size % 255])
    return bytes([_SEI]) + _escape(bytes([_UNREGISTERED]) + sizes + body + b"\x80")


def read_message(data: bytes) -> bytes | None:
    """What a decoder hands over (`SEI_UNREGISTERED`) without our UUID; None for a message of others."""
    return data[len(UUID) :] if data.startswith(UUID) else None


def _escape(data: bytes) -> bytes:
    """Three bytes that look like a start code get a 3 in between."""
    escaped, zeros = bytearray(), 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(escaped)


def _find_units(packet: bytes, length_bytes: int | None) -> Iterator[tuple[int, int]]:
    """Each unit's type, and where its start code or length begins."""
    if length_bytes is None:
        yield from _find_start_codes(packet)
        return
    at = 0
    while at + length_bytes < len(packet):
        yield packet[at + length_bytes] & 31, at
        at += length_bytes + int.from_bytes(packet[at : at + length_bytes], "big")


def _find_start_codes(packet: bytes) -> Iterator[tuple[int, int]]:
    at = packet.find(b"\0\0\1")
    while at >= 0 and at + 3 < len(packet):
        has_zero = at > 0 and packet[at - 1] == 0
        yield packet[at + 3] & 31, at - has_zero
        at = packet.find(b"\0\0\1", at + 3)
