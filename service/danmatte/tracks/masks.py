"""The network's outputs turned into a track's entries, in order."""

import cv2

from danmatte.contract.framing import Framing
from danmatte.contract.manifest import Manifest
from danmatte.frame import Bits, Probabilities, Size
from danmatte.tracks.refinement import Refiner
from danmatte.tracks.regions import RegionUnion
from danmatte.tracks.selection import NetworkOutput, SelectedFrame, TrackPlan
from danmatte.tracks.track import Entry
from danmatte.tracks.writer import TrackWriter
from danmatte.video.analysis import FrameAnalysis
from danmatte.video.stabiliser import Stabiliser, StableMask


class MaskWriter:
    """A stage that stabilises masks and writes those that the track doesn't have yet.

    `finished` becomes true with the first mask after the plan's span; the remaining frames aren't needed.
    """

    def __init__(
        self, manifest: Manifest, frame: Size, plan: TrackPlan, writer: TrackWriter, refiner: Refiner | None = None
    ) -> None:
        self._frame = frame
        self._framing, self._refiner = Framing.of(manifest), refiner
        self._grid = RegionUnion(manifest, plan.regions).grid
        self._plan, self._writer = plan, writer
        self._stabiliser = _PassThrough() if plan.stabiliser is None else Stabiliser(plan.stabiliser)
        self._written_ms = plan.span.start_ms - 1 if writer.last_pts_ms is None else writer.last_pts_ms
        self.finished = False
        self._last: tuple[Probabilities, Bits, float] | None = None
        self.tally = writer.tally

    def step(self, selected: SelectedFrame, output: NetworkOutput | None) -> None:
        """Process the next frame; `output` is None for a held one."""
        values: Probabilities | None = None
        if output is not None:
            self.tally.inferred += 1
            values = self._framing.compute_mask(output.values, self._grid, self._plan.working, self._frame)
            if self._refiner and output.refined:
                self.tally.looked_closer += 1
                self._refiner.merge(values, output.refined)
        for stable in self._stabiliser.take(selected.analysis, values):
            self._write(stable)

    def finish(self) -> None:
        """Write the masks that the stabiliser still holds back."""
        for stable in self._stabiliser.finish():
            self._write(stable)

    def _write(self, stable: StableMask) -> None:
        if stable.pts_ms <= self._written_ms:
            return
        if not self._plan.span.holds(stable.pts_ms):
            self.finished = True
            return
        alpha = stable.alpha
        if self._last is None or self._last[0] is not alpha:  # a held frame shares the array before
            sized = alpha
            if alpha.shape != self._plan.size:
                sized = cv2.resize(alpha, self._plan.size[::-1], interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
            bits = sized >= 0.5
            self._last = alpha, bits, float(bits.mean())
        _, mask, coverage = self._last
        held = stable.held
        self._writer.add(Entry(stable.pts_ms, mask, keyframe=not held, cut=stable.cut, held=held, coverage=coverage))
        self.tally.masks += 1
        self.tally.held += held
        self.tally.cuts += stable.cut
        self.tally.last_ms = stable.pts_ms


class _PassThrough:
    """A replacement for the stabiliser that returns the network's masks unchanged."""

    def __init__(self) -> None:
        self._alpha: Probabilities | None = None

    def take(self, frame: FrameAnalysis, values: Probabilities | None) -> list[StableMask]:
        self._alpha = self._alpha if values is None else values
        if self._alpha is None:
            raise ValueError(f"{frame.pts_ms} ms: expected probabilities where a scene begins")
        return [StableMask(frame.pts_ms, self._alpha, frame.cut, values is None)]

    def finish(self) -> list[StableMask]:
        return []
