"""A container's packets, whatever else appears in it while it is read."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from av.container import InputContainer
from av.stream import Stream

if TYPE_CHECKING:
    from av.packet import Packet

StreamPacket: TypeAlias = "Packet[Stream]"


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[StreamPacket]:
    """Packets of these streams to the end. Raises av.FFmpegError.

    Garbled transport streams seem to begin further streams in their middle. PyAV, which listed all of them when the
    file was opened, fails at such a packet with an IndexError; it is left out, and the next one is read.
    """
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue
        return
