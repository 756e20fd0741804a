"""Parts of long videos: the masks of a span, stored in the target until all parts exist and are joined."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from danmatte.errors import StorageError
from danmatte.library.library import PRIVATE, Unit
from danmatte.tracks.reader import TrackReader
from danmatte.tracks.tally import Tally
from danmatte.tracks.track import Entry
from danmatte.tracks.writer import TrackWriter

FOLDER = f"{PRIVATE}/parts"
_Count = Annotated[int, Meta(ge=0)]


class PartFacts(Struct, frozen=True):
    """The facts of a part besides its masks; `ended_ms` and `broken` describe the video if it is the last part."""

    masks: _Count = 0
    held: _Count = 0
    cuts: _Count = 0
    inferred: _Count = 0
    looked_closer: _Count = 0
    last_ms: _Count = 0
    ended_ms: _Count = 0
    bad_packets: _Count = 0
    broken: str = ""


def name_part(unit: Unit) -> str:
    """Return the name of a unit's part in the target."""
    return f"{FOLDER}/{unit.key}.part"


def list_part_names(unit: Unit) -> list[str]:
    """Return the names of all parts of the unit's video, in order."""
    return [name_part(unit._replace(number=number)) for number in range(unit.parts)]


def encode_part(facts: PartFacts, track: bytes) -> bytes:
    """Return an encoded part: a line of JSON, then the track, which is empty if the part contains no frame."""
    return msgspec.json.encode(facts) + b"\n" + track


def decode_part(data: bytes, name: str) -> tuple[PartFacts, bytes]:
    """Return the facts and the track of an encoded part; raises StorageError."""
    line, _, track = data.partition(b"\n")
    try:
        return msgspec.json.decode(line, type=PartFacts), track
    except msgspec.MsgspecError as error:
        raise StorageError(f"{name}: expected a part of a track: {error}") from error


def join_parts(parts: Sequence[tuple[PartFacts, bytes]], writer: TrackWriter) -> Tally:
    """Write the masks of all parts, in the segments that an undivided video would have. Raises TrackError."""
    whole = writer.tally
    for facts, track in parts:
        for entry in _read_entries(track):
            writer.add(entry)
        whole.masks += facts.masks
        whole.held += facts.held
        whole.cuts += facts.cuts
        whole.inferred += facts.inferred
        whole.looked_closer += facts.looked_closer
        whole.last_ms = max(whole.last_ms, facts.last_ms)
    return whole


def _read_entries(track: bytes) -> Iterator[Entry]:
    if not track:
        return
    with tempfile.NamedTemporaryFile(suffix=".mattes") as file:
        file.write(track)
        file.flush()
        with TrackReader(Path(file.name)) as reader:
            yield from reader
