"""Masks within H.264, as SEI messages `user_data_unregistered` (ITU-T H.264, D.1.7): a UUID followed by the bytes.

A packet has one picture's NAL units, each after a start code (Annex B) or after its length, as the stream's header says
(ISO/IEC 14496-15). The message is inserted before the first NAL unit of the picture itself.
"""

from collections.abc import Iterator

from danmatte.errors import TrackError

UUID = bytes.fromhex("c9a37a5e0b4d5d5e8f0e64616e6d6174")  # ends in "danmat"
_SEI, _UNREGISTERED = 6, 5
_SLICES = range(1, 6)  # NAL types of coded pictures
_START = b"\0\0\0\1"


def read_length_bytes(header: bytes | None) -> int | None:
    """Return the size in bytes of a unit's length field, from the stream's `extradata`; None for start codes."""
    return (header[4] & 3) + 1 if header and len(header) > 6 and header[0] == 1 else None


def insert_message(packet: bytes, payload: bytes, length_bytes: int | None) -> bytes:
    """Return the packet with a message added; raises TrackError if it has no picture."""
    unit = write_unit(payload)
    for kind, start in _find_units(packet, length_bytes):
        if kind in _SLICES:
            lead = _START if length_bytes is None else len(unit).to_bytes(length_bytes, "big")
            return packet[:start] + lead + unit + packet[start:]
    raise TrackError("H.264: expected a picture in the packet")


def write_unit(payload: bytes) -> bytes:
    """Return a NAL unit with one message."""
    body, size = UUID + payload, len(UUID) + len(payload)
    sizes = b"\xff" * (size // 255) + bytes([size % 255])
    return bytes([_SEI]) + _escape(bytes([_UNREGISTERED]) + sizes + body + b"\x80")


def read_message(data: bytes) -> bytes | None:
    """Return the payload of a decoder's side data `SEI_UNREGISTERED`; None for a message with another UUID."""
    return data[len(UUID) :] if data.startswith(UUID) else None


def _escape(data: bytes) -> bytes:
    """Insert emulation prevention bytes: a 3 after two zeros, if the next byte would make a start code."""
    escaped, zeros = bytearray(), 0
    for byte in data:
        if zeros == 2 and byte <= 3:
            escaped.append(3)
            zeros = 0
        escaped.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(escaped)


def _find_units(packet: bytes, length_bytes: int | None) -> Iterator[tuple[int, int]]:
    """Yield each unit's type, and the offset of its start code or length."""
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
