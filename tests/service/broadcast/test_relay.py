"""The relay of a stream: unchanged packets, each with its picture's mask."""

from pathlib import Path
from typing import NamedTuple

import av
import msgspec
import numpy as np
import pytest

from danmatte.broadcast.relay import Relay
from danmatte.broadcast.sei import read_message
from danmatte.broadcast.stream_input import StreamInput
from danmatte.errors import TrackError
from danmatte.tracks import Entry
from danmatte.tracks.formats.vtt import CueMask
from tests.service.tracks.videos import walking, write


class Received(NamedTuple):
    """A frame's time, the sum of its pixels, and the coverage that its mask states."""

    pts_ms: int
    weight: int
    coverage: float | None


def read_stream(path: Path) -> list[Received]:
    with av.open(str(path)) as container:
        found = []
        for frame in container.decode(video=0):
            message = frame.side_data.get("SEI_UNREGISTERED")
            payload = None if message is None else read_message(bytes(message))
            coverage = None if payload is None else msgspec.json.decode(payload, type=CueMask).coverage
            weight = int(frame.to_ndarray(format="gray").sum())
            found.append(Received(round(1000 * frame.time), weight, coverage))
        return found


def make_mask(pts_ms: int) -> Entry:
    """Return a mask whose coverage identifies its frame."""
    return Entry(pts_ms, np.zeros((18, 32), np.bool_), coverage=round(pts_ms % 10_000 / 10_000, 4))


def relay_video(source: Path, target: Path, *, masks: bool = True, delay_s: float = 1e9) -> int:
    """Relay a video with the masks of all frames ready at once; return the number of masks sent."""
    with StreamInput(str(source), sleep=lambda _: None) as stream:
        with Relay(str(target), stream.streams, delay_s=delay_s) as relay:
            for arrival in stream.read():
                for frame in arrival.frames if masks else ():
                    relay.add(make_mask(frame.pts_ms))
                relay.pass_on(arrival.packet)
        return relay.masks


@pytest.mark.parametrize("b_frames", [0, 2])
@pytest.mark.parametrize(("source", "target"), [(".mp4", ".ts"), (".ts", ".mp4"), (".mkv", ".flv"), (".mp4", ".mkv")])
def test_every_frame_carries_its_own_mask_in_every_container(
    source: str, target: str, b_frames: int, tmp_path: Path
) -> None:
    path = write(tmp_path / f"in{source}", walking(30), b_frames=b_frames)
    assert relay_video(path, tmp_path / f"out{target}") == 30
    before, after = read_stream(path), read_stream(tmp_path / f"out{target}")
    assert [each.weight for each in after] == [each.weight for each in before]
    assert [each.coverage for each in after] == pytest.approx([each.pts_ms / 10_000 for each in before])


def test_packets_without_masks_are_relayed_unchanged(tmp_path: Path) -> None:
    path = write(tmp_path / "in.mp4", walking(30))
    assert relay_video(path, tmp_path / "out.mp4", masks=False) == 0
    with av.open(str(path)) as one, av.open(str(tmp_path / "out.mp4")) as other:
        pairs = [[bytes(packet) for packet in each.demux(video=0) if packet.size] for each in (one, other)]
    assert pairs[0] == pairs[1]


def test_the_number_of_stored_masks_without_a_packet_is_bounded(tmp_path: Path) -> None:
    path = write(tmp_path / "in.mp4", walking(3))
    with (
        StreamInput(str(path), sleep=lambda _: None) as stream,
        Relay(str(tmp_path / "out.ts"), stream.streams) as relay,
    ):
        for pts_ms in range(1_000_000, 1_002_000):
            relay.add(make_mask(pts_ms))
        assert len(relay._payloads) == 512
        for arrival in stream.read():
            relay.pass_on(arrival.packet)


def test_an_unreachable_target_is_reported(tmp_path: Path) -> None:
    with StreamInput(str(write(tmp_path / "in.mp4", walking(3)))) as stream:
        with pytest.raises(TrackError, match="expected a target that accepts the stream"):
            Relay(str(tmp_path / "none/out.ts"), stream.streams)
        with pytest.raises(TrackError, match="expected a target that accepts the stream"):
            Relay("rtmp://127.0.0.1:9/live/out", stream.streams)
