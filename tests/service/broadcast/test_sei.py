"""Masks within H.264, read back by a real decoder."""

import io
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from danmatte.broadcast.sei import UUID, insert_message, read_length_bytes, read_message, write_unit
from danmatte.errors import TrackError
from tests.service.tracks.videos import walking, write

PAYLOADS = [b"{}", b"", bytes(700), bytes(range(256)) * 3, b"\0\0\0\0\1\0\0\2\0\0\3" * 30]


def remux(path: Path, payloads: list[bytes], format_: str) -> io.BytesIO:
    """Write the video's packets to another container, each with a message."""
    out = io.BytesIO()
    with av.open(str(path)) as source, av.open(out, "w", format=format_) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        lengths = read_length_bytes(stream.codec_context.extradata)
        for number, packet in enumerate(packet for packet in source.demux(stream) if packet.size):
            made = av.Packet(insert_message(bytes(packet), payloads[number % len(payloads)], lengths))
            made.pts, made.dts, made.time_base, made.is_keyframe = (
                packet.pts,
                packet.dts,
                packet.time_base,
                packet.is_keyframe,
            )
            made.stream = copy
            target.mux(made)
    out.seek(0)
    return out


def read_messages(file: io.BytesIO) -> Iterator[bytes | None]:
    with av.open(file) as container:
        for frame in container.decode(video=0):
            found = frame.side_data.get("SEI_UNREGISTERED")
            yield None if found is None else read_message(bytes(found))


@pytest.mark.parametrize("source", [".mp4", ".ts"], ids=["lengths", "start codes"])
@pytest.mark.parametrize("target", ["mp4", "mpegts", "flv"])
def test_a_real_decoder_finds_the_sei_message_of_every_frame(source: str, target: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"walk{source}", walking(10))
    messages = list(read_messages(remux(path, PAYLOADS, target)))
    assert messages == [PAYLOADS[number % len(PAYLOADS)] for number in range(10)]


def test_sei_messages_with_a_different_uuid_are_ignored() -> None:
    assert read_message(bytes(16) + b"{}") is None
    assert read_message(UUID + b"{}") == b"{}"


def test_a_unit_contains_no_start_code() -> None:
    for payload in PAYLOADS:
        unit = write_unit(payload)
        assert all(unit.find(bytes([0, 0, last])) < 0 for last in range(3))


@pytest.mark.parametrize("length_bytes", [None, 4])
def test_a_packet_without_a_picture_is_refused(length_bytes: int | None) -> None:
    parameters = b"\0\0\0\1\x67abc" if length_bytes is None else b"\0\0\0\4\x67abc"
    with pytest.raises(TrackError, match="expected a picture"):
        insert_message(parameters, b"{}", length_bytes)
