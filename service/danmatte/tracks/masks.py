"""From the network's answers to a track's entries, in order."""

from dataclasses import dataclass

import cv2

from danmatte.contract.framing import Framing
from danmatte.contract.manifest import Manifest
from danmatte.frame import Probabilities, Size
from danmatte.tracks.refinement import Closer
from danmatte.tracks.selection import Look, Plan, Seen
from danmatte.tracks.track import Bits, Entry
from danmatte.tracks.writer import TrackWriter
from danmatte.video.analysis import Sight
from danmatte.video.stabiliser import Stabiliser, Steady


@dataclass
class Tally:
    """What became of the frames: `masks` were written, `held` and `cuts` are among them; `inferred` were shown
    to the network, some of them again after an interruption, `looked_closer` of them twice."""

    masks: int = 0
    held: int = 0
    cuts: int = 0
    inferred: int = 0
    looked_closer: int = 0
    last_ms: int = 0


class Masks:
    """Stabilises masks and writes those that the track doesn't have yet."""

    def __init__(
        self, manifest: Manifest, frame: Size, plan: Plan, writer: TrackWriter, closer: Closer | None = None
    ) -> None:
        self._manifest, self._frame = manifest, frame
        self._closer = closer
        self._plan, self._writer = plan, writer
        self._stabiliser = _Plain() if plan.care is None else Stabiliser(plan.care)
        self._written_ms = -1 if writer.last_pts_ms is None else writer.last_pts_ms
        self._last: tuple[Probabilities, Bits, float] | None = None
        self.tally = Tally()

    def step(self, look: Look, seen: Seen | None) -> None:
        """Takes the next look, and what the network saw unless it is held."""
        sized = None if seen is None else self._sized(seen)
        for steady in self._stabiliser.take(look.sight, sized):
            self._write(steady)

    def finish(self) -> None:
        """Writes what the stabiliser still has."""
        for steady in self._stabiliser.finish():
            self._write(steady)

    def _sized(self, seen: Seen) -> Probabilities:
        self.tally.inferred += 1
        grid = self._manifest.output.grid
        sized = Framing.of(self._manifest).compute_mask(seen.values, grid, self._plan.working, self._frame)
        if self._closer and seen.glance:
            self.tally.looked_closer += 1
            self._closer.add(sized, seen.glance)
        return sized

    def _write(self, steady: Steady) -> None:
        if steady.pts_ms <= self._written_ms:
            return
        mask, coverage = self._bits(steady.alpha)
        held = steady.held
        self._writer.add(Entry(steady.pts_ms, mask, keyframe=not held, cut=steady.cut, held=held, coverage=coverage))
        self.tally.masks += 1
        self.tally.held += held
        self.tally.cuts += steady.cut
        self.tally.last_ms = steady.pts_ms

    def _bits(self, alpha: Probabilities) -> tuple[Bits, float]:
        """The mask at the track's size and its coverage; the same one for the same alpha."""
        if self._last is None or self._last[0] is not alpha:
            sized = alpha
            if alpha.shape != self._plan.size:
                sized = cv2.resize(alpha, self._plan.size[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
            bits = sized >= 0.5
            self._last = alpha, bits, float(bits.mean())
        return self._last[1:]


class _Plain:
    """The network's masks as they are."""

    def __init__(self) -> None:
        self._alpha: Probabilities | None = None

    def take(self, sight: Sight, values: Probabilities | None) -> list[Steady]:
        self._alpha = self._alpha if values is None else values
        if self._alpha is None:
            raise ValueError(f"{sight.pts_ms} ms: expected probabilities where a scene begins")
        return [Steady(sight.pts_ms, self._alpha, sight.cut, values is None)]

    def finish(self) -> list[Steady]:
        return []
