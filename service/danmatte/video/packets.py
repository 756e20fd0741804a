"""Reading a container's packets, also if new streams appear in it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from av.container import InputContainer
from av.stream import Stream

if TYPE_CHECKING:
    from av.packet import Packet

StreamPacket: TypeAlias = "Packet[Stream]"


def read_packets(container: InputContainer, *streams: Stream) -> Iterator[StreamPacket]:
    """Yield the packets of these streams to the end. Raises av.FFmpegError.

    In damaged transport streams, new streams seem to start in the middle. PyAV lists the streams only when the file is
    opened and raises IndexError for a packet of another one; that packet is skipped.
    """
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:
            continue
        return
