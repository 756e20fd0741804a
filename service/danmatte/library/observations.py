"""Observations of a long video's parts, stored in the target until they are joined for the video's verdict."""

from collections.abc import Sequence
from concurrent.futures import Future

import msgspec
import numpy as np
from msgspec import Struct

from danmatte.errors import StorageError
from danmatte.frame import Pixels
from danmatte.library.library import Unit
from danmatte.library.parts import FOLDER
from danmatte.quality.brightness import Bars
from danmatte.quality.watch import Observations, QualityWatch, Sample, Verdict, find_slot, measure_difference
from danmatte.video.decoded_frame import DecodedFrame


class SeenSample(Struct, frozen=True):
    """A judged frame: a `Sample` that can be stored."""

    pts_ms: int
    shot: int
    black: bool
    exposure: float
    bars: Bars
    verdict: Verdict

    def restore(self, shots_before: int) -> Sample:
        """Return the sample for the whole video, in which `shots_before` shots precede the part."""
        judged: Future[Verdict] = Future()
        judged.set_result(self.verdict)
        return Sample(self.pts_ms, shots_before + self.shot, self.black, self.exposure, self.bars, judged)


class Grey(Struct, frozen=True):
    """A small grey picture that can be stored: brightness, row by row."""

    shape: tuple[int, int]
    data: bytes

    def read(self) -> Pixels:
        """Return the picture, (H, W) uint8. Raises ValueError if shape and data don't match."""
        return np.frombuffer(self.data, np.uint8).reshape(self.shape)


class SeenPart(Struct, frozen=True):
    """The observations of a part; `first` and `last` are small pictures of its first and last frame."""

    times_ms: list[int]
    shots: list[int]
    changes: list[float]
    blocks: list[float]
    areas: list[float]
    samples: list[SeenSample]
    begins_scene: bool = False
    first: Grey | None = None
    last: Grey | None = None


class PartWatch:
    """A `FrameObserver` of one part; it passes frames to a `watch` and keeps the first and the last one for joining."""

    def __init__(self, watch: QualityWatch) -> None:
        self._watch = watch
        self._first: Pixels | None = None
        self._last: Pixels | None = None
        self._begins_scene = False

    def observe(self, frame: DecodedFrame, grey: Pixels, *, cut: bool) -> None:
        """Observe the next frame."""
        if self._first is None:
            self._first, self._begins_scene = grey, cut
        self._last = grey
        self._watch.observe(frame, grey, cut=cut)

    def finish(self) -> bytes:
        """Return the encoded observations for the target. Raises EngineError if a frame couldn't be judged."""
        seen = self._watch.finish()
        samples = [
            SeenSample(each.pts_ms, each.shot, each.black, each.exposure, each.bars, each.verdict.result())
            for each in seen.samples
        ]
        return msgspec.msgpack.encode(
            SeenPart(
                seen.times_ms,
                seen.shots,
                seen.changes,
                seen.blocks,
                seen.areas,
                samples,
                begins_scene=self._begins_scene,
                first=_store(self._first),
                last=_store(self._last),
            )
        )


def _store(grey: Pixels | None) -> Grey | None:
    return None if grey is None else Grey((grey.shape[0], grey.shape[1]), grey.tobytes())


def name_seen(unit: Unit, judging: str) -> str:
    """Return the name of a part's observations; `judging` is the digest in the name of their verdict."""
    return f"{FOLDER}/{judging}-{unit.number}-{unit.parts}.seen"


def list_seen_names(unit: Unit, judging: str) -> list[str]:
    """Return the names of the observations of all parts of the unit's video, in order."""
    return [name_seen(unit._replace(number=number), judging) for number in range(unit.parts)]


def decode_seen(data: bytes, name: str) -> SeenPart:
    """Decode the observations of a part; raises StorageError."""
    try:
        return msgspec.msgpack.decode(data, type=SeenPart)
    except msgspec.MsgspecError as error:
        raise StorageError(f"{name}: expected the observations of a part: {error}") from error


def join_seen(parts: Sequence[SeenPart], fps: float) -> Observations:
    """Return the observations of the undivided video; `fps` is the number of judged frames per second."""
    whole, before = Observations(), None
    for part in parts:
        if not part.times_ms:
            continue
        changes, blocks, areas, samples = list(part.changes), list(part.blocks), list(part.areas), part.samples
        shots_before = whole.shots[-1] if whole.shots else 0
        if before and before.last and part.first and not part.begins_scene:
            changes[0], blocks[0], areas[0] = measure_difference(part.first.read(), before.last.read())
            if find_slot(before.times_ms[-1], fps) == find_slot(part.times_ms[0], fps):
                samples = samples[1:]  # the part's first frame was sampled only because every video's first one is
        whole.times_ms += part.times_ms
        whole.shots += [shots_before + shot for shot in part.shots]
        whole.changes += changes
        whole.blocks += blocks
        whole.areas += areas
        whole.samples += [sample.restore(shots_before) for sample in samples]
        before = part
    return whole
