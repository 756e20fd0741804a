"""Frame selection: which frames of a video are skipped, held, or passed to the network."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from danmatte.contract.framing import Framing
from danmatte.contract.manifest import Manifest
from danmatte.frame import Frame, Pixels, Probabilities, Size
from danmatte.tracks.refinement import RefinedRegion, Refiner
from danmatte.video.analysis import FrameAnalysis, FrameAnalyzer
from danmatte.video.decoded_frame import DecodedFrame
from danmatte.video.motion import CutDetector, measure_change
from danmatte.video.reader import Video
from danmatte.video.stabiliser import StabiliserOptions

BOX = Size(180, 320)
_WORKING_SIDE = 320  # larger masks are upscaled from this, because the networks' output has no more detail


@dataclass(frozen=True)
class Span:
    """The part of a video that gets masks: from `start_ms` up to, but not including, `end_ms`; None is the end.

    Frames from `warm_ms` on are computed, too, because the stabiliser needs frames before the first mask.
    """

    start_ms: int = 0
    end_ms: int | None = None
    warm_ms: int = 0

    def holds(self, pts_ms: int) -> bool:
        """Return whether a frame at this time gets a mask."""
        return self.start_ms <= pts_ms and (self.end_ms is None or pts_ms < self.end_ms)


@dataclass(frozen=True)
class TrackPlan:
    """The parameters of one video's track.

    Masks have this `size`, and there are at most `fps` per second; without a `stabiliser` they are the network's
    masks, unchanged.

    A frame is held, which means that it reuses the previous mask, if it differs from the last inferred frame by less
    than `still` grey levels on average and less than `still_block` in the worst block, and if that frame is less than
    `hold_ms` older. `refine` enables the second pass. `regions` are combined in one mask; empty for the model's
    default. Only the frames in `span` get masks.
    """

    # With these limits half of a street scene's masks are reused, at an IoU of 0.99 with masks inferred every frame.
    size: Size
    fps: float = 30.0
    still: float = 1.5
    still_block: float = 8.0
    hold_ms: int = 1000
    stabiliser: StabiliserOptions | None = field(default_factory=StabiliserOptions)
    refine: bool = False
    regions: tuple[str, ...] = ()
    span: Span = field(default_factory=Span)

    @property
    def working(self) -> Size:
        """The size at which frames are compared and masks stabilised."""
        shrunk = min(1.0, _WORKING_SIDE / max(self.size))
        return Size(*(max(1, round(side * shrunk)) for side in self.size))


@dataclass(frozen=True)
class SelectedFrame:
    """A frame that gets a mask; `picture` is the graph's input, or None to reuse the previous mask.

    `detail` is the frame at the size that a `Refiner` needs; None without a second pass.
    """

    analysis: FrameAnalysis
    picture: Pixels | None = field(repr=False)
    detail: Pixels | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NetworkOutput:
    """The graph's (h, w) output for a frame, and that of the second pass if there was one."""

    values: Probabilities = field(repr=False)
    refined: RefinedRegion | None = None


class FrameObserver(Protocol):
    """An observer of a video's frames while its track is made, which saves decoding the video twice.

    It is called in the decoding thread, for each frame in order, and must read a frame's pixels within the call.
    """

    def observe(self, frame: DecodedFrame, grey: Pixels, *, cut: bool) -> None:
        """Observe a frame that gets a mask.

        `grey` is (H, W) uint8 at the plan's working size; `cut` says whether a scene begins.
        """


def choose_mask_size(shown: Size, box: Size = BOX) -> Size:
    """Return the largest size with this aspect ratio that fits into the box, which is turned for portrait videos."""
    high, wide = sorted(box, reverse=shown.height > shown.width)
    scale = min(high / shown.height, wide / shown.width)
    return Size(max(1, round(shown.height * scale)), max(1, round(shown.width * scale)))


def select_frames(
    video: Video,
    manifest: Manifest,
    plan: TrackPlan,
    *,
    from_ms: int = 0,
    refiner: Refiner | None = None,
    observer: FrameObserver | None = None,
) -> Iterator[SelectedFrame]:
    """Yield every frame from `from_ms` on that gets a mask, with its `detail` if there is a `refiner`."""
    ahead = plan.stabiliser is not None and plan.stabiliser.ahead > 0
    cuts, stillness, analyzer = CutDetector(), StillnessDetector(plan), FrameAnalyzer(ahead=ahead)
    framing, order = Framing.of(manifest), manifest.picture.colour
    scaled = framing.scale_size(video.size)
    for frame in limit_rate(video.read_frames(from_ms), plan.fps):
        grey = frame.to_grey(plan.working)
        cut = cuts.step(grey)
        if observer and plan.span.holds(frame.pts_ms):
            observer.observe(frame, grey, cut=cut)
        picture = colours = detail = None
        if not stillness.step(grey, frame.pts_ms, cut=cut):
            picture = framing.fit(Frame(frame.to_colours(scaled, order), scaled))
            colours = framing.extract(picture, video.size, plan.working) if plan.stabiliser else None
            detail = frame.to_detail(refiner.detail_size, order) if refiner else None
        # Analyzed here, in the decoder's thread, because the stabiliser's thread is the slowest stage.
        if plan.stabiliser:
            analysis = analyzer.analyze(grey, frame.pts_ms, colours=colours, cut=cut, held=picture is None)
        else:
            analysis = FrameAnalysis(frame.pts_ms, cut, grey, grey)
        yield SelectedFrame(analysis, picture, detail)


def limit_rate(frames: Iterator[DecodedFrame], fps: float) -> Iterator[DecodedFrame]:
    """Yield the first frame of every 1/fps of a second; the selection doesn't depend on where reading starts."""
    last = None
    for frame in frames:
        slot = int(frame.pts_ms * fps / 1000 + 0.5)  # otherwise rounding to 1 ms could move a frame to the slot before
        if slot != last:
            yield frame
        last = slot


class StillnessDetector:
    """A detector of frames that can reuse the previous mask.

    Each is compared with the frame that the mask was made for, not with the previous frame: small changes add up.
    """

    def __init__(self, plan: TrackPlan) -> None:
        self._plan = plan
        self._seen: Pixels | None = None
        self._seen_ms = 0

    def step(self, grey: Pixels, pts_ms: int, *, cut: bool) -> bool:
        """Return whether the frame reuses the previous mask; if not, it becomes the frame to compare with."""
        if self._seen is not None and not cut and pts_ms - self._seen_ms < self._plan.hold_ms:
            whole, block = measure_change(self._seen, grey)
            if whole < self._plan.still and block < self._plan.still_block:
                return True
        self._seen, self._seen_ms = grey, pts_ms
        return False
