"""How much work is left in a library: video and masks by a look at some videos, core hours by a measurement."""

import multiprocessing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import NamedTuple

from msgspec import Struct, structs

from danmatte.capacity.capacity import Capacity, FrameKind
from danmatte.contract.cores import count_cores
from danmatte.errors import ServiceError
from danmatte.library.inventory import Inventory
from danmatte.library.library import Library, Unit
from danmatte.library.place import open_storage
from danmatte.library.progress import format_time
from danmatte.tracks.batch import CORES_A_VIDEO

MOST_LOOKED_AT = 20
_START_S = 120.0  # for starting a process, on a machine that is busy with others
_LOOK_S = 30.0  # for opening one video; what takes longer is left out


class VideoFacts(NamedTuple):
    """What a video says of itself, without being decoded: a frame has so many `pixels`."""

    size_bytes: int
    seconds: float
    pixels: int
    fps: float


class Estimate(Struct, frozen=True):
    """What is left to do, by the facts of `looked_at` videos; masks are an upper end, as those that are held cost less.

    `core_s` are the seconds that one core would take by a measurement with frames of this kind; None without one.
    """

    units: int
    kept: int
    size_bytes: int
    looked_at: int
    video_s: float
    masks: int
    frame: str = ""
    per_core_s: float | None = None
    core_s: float | None = None

    def describe(self) -> str:
        """In words, a line each."""
        lines = [f"{self.units} units, {self.size_bytes / 2**20:.1f} MiB of video; finished before: {self.kept}"]
        if self.looked_at:
            words = f"left: about {format_time(self.video_s)} of video, at most {self.masks} masks"
            lines.append(f"{words} (by a look at {self.looked_at} videos)")
        if self.core_s is not None:
            cores = count_cores()
            rate = f"{self.per_core_s:.0f} masks a second and core, posted as {self.frame}"
            lines.append(f"at most about {format_time(self.core_s)} of one core ({rate})")
            lines.append(f"on the {cores} cores of this machine {format_time(self.core_s / cores)}")
        elif self.looked_at:
            lines.append("no estimate of time and cores: --capacity takes what `danmatte measure` wrote")
        return "\n".join(lines)


def estimate(inventory: Inventory, capacity: Capacity | None) -> Estimate:
    """Looks at some of the videos that are left. Raises ServiceError."""
    totals, library = inventory.count(), inventory.library
    found = list(look_at_videos(library, [unit.video for unit in _choose(inventory, totals.units - totals.kept)]))
    looked_bytes = sum(facts.size_bytes for facts in found)
    left_bytes = totals.size_bytes - totals.kept_bytes
    times = left_bytes / looked_bytes if looked_bytes else 0.0
    masks = sum(facts.seconds * min(facts.fps, library.options.fps) for facts in found) * times
    told = Estimate(
        totals.units,
        totals.kept,
        totals.size_bytes,
        len(found),
        round(times * sum(facts.seconds for facts in found), 1),
        round(masks),
    )
    return told if capacity is None or not found else _add_cores(told, capacity, found)


def _add_cores(told: Estimate, capacity: Capacity, found: Sequence[VideoFacts]) -> Estimate:
    """By the kind of frame that was measured whose size is the videos'."""
    pixels = sum(facts.pixels * facts.seconds for facts in found) / sum(facts.seconds for facts in found)

    def compare(kind: FrameKind) -> float:
        size = kind.width * kind.height
        return max(size, pixels) / min(size, pixels)

    kind = min(capacity.frames, key=compare)
    per_core_s = capacity.model_worker(CORES_A_VIDEO, kind).per_s / CORES_A_VIDEO
    return structs.replace(told, frame=str(kind), per_core_s=per_core_s, core_s=told.masks / per_core_s)


def _choose(inventory: Inventory, left: int) -> list[Unit]:
    """Some units that aren't finished, evenly from all."""
    wanted = (
        {at * left // MOST_LOOKED_AT for at in range(MOST_LOOKED_AT)} if left > MOST_LOOKED_AT else set(range(left))
    )
    unfinished = (unit for unit, finished in inventory if not finished)
    chosen = [unit for at, unit in enumerate(unfinished) if at in wanted]
    return list({unit.video: unit for unit in chosen}.values())


def look_at_videos(library: Library, videos: Sequence[str]) -> Iterator[VideoFacts]:
    """The facts of those videos that tell them, looked at in a process of its own: one may crash it, or hang."""
    left = list(videos)
    while left:
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        process = context.Process(target=_look, args=(other, library, left), daemon=True)
        process.start()
        other.close()
        try:
            with suppress(EOFError):  # it crashed
                ready = connection.poll(_START_S) and connection.recv()
                while ready and left and connection.poll(_LOOK_S):
                    facts = connection.recv()
                    del left[0]
                    if facts is not None:
                        yield facts
        finally:
            process.kill()
            process.join()
        left = left[1:]  # at the one that is first now it crashed or hung, if there is one


def _look(connection: Connection, library: Library, videos: Sequence[str]) -> None:
    """The process."""
    storage = open_storage(library.source)
    connection.send(True)
    for name in videos:
        try:
            with storage.open_video(name, library.options.clock) as video:
                seconds = (video.end_ms or 0) / 1000
                size_bytes = storage.describe(name).size_bytes
                facts = VideoFacts(size_bytes, seconds, video.size.pixels, video.rate)
        except (ServiceError, OSError):
            connection.send(None)
        else:
            connection.send(facts if seconds > 0 and size_bytes else None)
