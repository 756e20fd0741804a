"""Estimate of a library's remaining work: video and masks from a sample of the videos, time from a measurement."""

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

MAX_PROBED = 20
_START_S = 120.0  # for starting a process on a busy machine
_PROBE_S = 30.0  # for opening one video; slower ones are left out


class VideoFacts(NamedTuple):
    """A video's stated facts, read without decoding; `pixels` are those of one frame."""

    size_bytes: int
    seconds: float
    pixels: int
    fps: float


class Estimate(Struct, frozen=True):
    """The remaining work, estimated from `looked_at` videos; an upper limit, because held masks cost less.

    `core_s` is the time in seconds that one core would take by a measurement with frames of the kind `frame`, at
    `per_core_s` masks per second and core. Both are None without a measurement.
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
        """Return the estimate as text, a line per fact."""
        lines = [f"{self.units} units, {self.size_bytes / 2**20:.1f} MiB of video; finished before: {self.kept}"]
        if self.looked_at:
            words = f"left: about {format_time(self.video_s)} of video, at most {self.masks} masks"
            lines.append(f"{words} (estimated from {self.looked_at} videos)")
        if self.core_s is not None:
            cores = count_cores()
            rate = f"{self.per_core_s:.0f} masks per second and core, posted as {self.frame}"
            lines.append(f"at most about {format_time(self.core_s)} of one core ({rate})")
            lines.append(f"on the {cores} cores of this machine {format_time(self.core_s / cores)}")
        elif self.looked_at:
            lines.append("no estimate of time and cores: use --capacity with the file that `danmatte measure` wrote")
        return "\n".join(lines)


def estimate(inventory: Inventory, capacity: Capacity | None) -> Estimate:
    """Estimate the remaining work by probing some of the unfinished videos. Raises ServiceError."""
    totals, library = inventory.count(), inventory.library
    found = list(probe_videos(library, [unit.video for unit in _choose(inventory, totals.units - totals.kept)]))
    probed_bytes = sum(facts.size_bytes for facts in found)
    left_bytes = totals.size_bytes - totals.kept_bytes
    times = left_bytes / probed_bytes if probed_bytes else 0.0
    masks = sum(facts.seconds * min(facts.fps, library.options.fps) for facts in found) * times
    work = Estimate(
        totals.units,
        totals.kept,
        totals.size_bytes,
        len(found),
        round(times * sum(facts.seconds for facts in found), 1),
        round(masks),
    )
    return work if capacity is None or not found else _add_cores(work, capacity, found)


def _add_cores(work: Estimate, capacity: Capacity, found: Sequence[VideoFacts]) -> Estimate:
    """Return the estimate with the time, by the measured kind of frame whose size is closest to the videos'."""
    pixels = sum(facts.pixels * facts.seconds for facts in found) / sum(facts.seconds for facts in found)

    def compare(kind: FrameKind) -> float:
        size = kind.width * kind.height
        return max(size, pixels) / min(size, pixels)

    kind = min(capacity.frames, key=compare)
    per_core_s = capacity.model_worker(CORES_A_VIDEO, kind).per_s / CORES_A_VIDEO
    return structs.replace(work, frame=str(kind), per_core_s=per_core_s, core_s=work.masks / per_core_s)


def _choose(inventory: Inventory, left: int) -> list[Unit]:
    """Return some unfinished units, evenly distributed and at most one per video."""
    wanted = {at * left // MAX_PROBED for at in range(MAX_PROBED)} if left > MAX_PROBED else set(range(left))
    unfinished = (unit for unit, finished in inventory if not finished)
    chosen = [unit for at, unit in enumerate(unfinished) if at in wanted]
    return list({unit.video: unit for unit in chosen}.values())


def probe_videos(library: Library, videos: Sequence[str]) -> Iterator[VideoFacts]:
    """Yield the facts of the videos that state them; read in a separate process, which a video may crash or hang."""
    left = list(videos)
    while left:
        context = multiprocessing.get_context("spawn")
        connection, other = context.Pipe()
        process = context.Process(target=_probe, args=(other, library, left), daemon=True)
        process.start()
        other.close()
        try:
            with suppress(EOFError):  # the process crashed
                ready = connection.poll(_START_S) and connection.recv()
                while ready and left and connection.poll(_PROBE_S):
                    facts = connection.recv()
                    del left[0]
                    if facts is not None:
                        yield facts
        finally:
            process.kill()
            process.join()
        left = left[1:]  # the first of these, if any, crashed the process or hung


def _probe(connection: Connection, library: Library, videos: Sequence[str]) -> None:
    """Run in the separate process: send that it is ready, then each video's facts or None."""
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
