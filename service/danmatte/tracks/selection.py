"""Frame selection: which frames of a video are left out, held, or shown to the network."""

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
_WORKING_SIDE = 320  # finer than this, a mask is enlarged: the networks know no more


@dataclass(frozen=True)
class Span:
    """The part of a video that gets masks: from `start_ms` on, and before `end_ms`, or to the end.

    Frames from `warm_ms` on are computed, too, so that the first masks have a past.
    """

    start_ms: int = 0
    end_ms: int | None = None
    warm_ms: int = 0

    def holds(self, pts_ms: int) -> bool:
        """Whether a frame of this time gets a mask."""
        return self.start_ms <= pts_ms and (self.end_ms is None or pts_ms < self.end_ms)


@dataclass(frozen=True)
class TrackPlan:
    """How the track of one video is made.

    `size` is the masks', `fps` the most of them a second; without a `stabiliser` they stay as the network gives them.
    A frame is held, its mask the one before, while it differs from the last that the network saw by less than
    `still` grey levels on the whole, and than `still_block` in the worst block, and for less than `hold_ms`.
    `refine` has the network look at people a second time, for finer masks. `regions` are what masks show together; none
    of them means the model's own. `span` is what of the video gets masks.
    """

    # With these limits half of the masks of a street scene are used again, at an IoU of 0.99 with those of every frame.
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
    """A frame that gets a mask; `picture` is the graph's input, None to hold the mask before.

    `detail` is the frame as a `Refiner` needs it; None where there is no second pass.
    """

    analysis: FrameAnalysis
    picture: Pixels | None = field(repr=False)
    detail: Pixels | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NetworkAnswer:
    """The graph's (h, w) output for a frame, and that of the second pass where there was one."""

    values: Probabilities = field(repr=False)
    refined: RefinedRegion | None = None


class FrameObserver(Protocol):
    """Looks at the frames of a video as they pass, so that what else is to be known of them needs no second decoding.

    It is called in the thread that decodes, for frames in their order; what it needs of a frame's pixels it takes now.
    """

    def observe(self, frame: DecodedFrame, grey: Pixels, *, cut: bool) -> None:
        """A frame that gets a mask; `grey` is (H, W) uint8 of the plan's working size, `cut` whether a scene begins."""


def choose_mask_size(shown: Size, box: Size = BOX) -> Size:
    """The largest size of these proportions within the box, which is turned to lie or stand as they do."""
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
    """Every frame from `from_ms` on that is to get a mask, with its detail where there is a `refiner`."""
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
        # Analyzed here, in the decoder's thread: the stabiliser's is the slowest stage of all.
        if plan.stabiliser:
            analysis = analyzer.analyze(grey, frame.pts_ms, colours=colours, cut=cut, held=picture is None)
        else:
            analysis = FrameAnalysis(frame.pts_ms, cut, grey, grey)
        yield SelectedFrame(analysis, picture, detail)


def limit_rate(frames: Iterator[DecodedFrame], fps: float) -> Iterator[DecodedFrame]:
    """The first frame of every 1/fps of a second; the same ones wherever the video is begun."""
    last = None
    for frame in frames:
        slot = int(frame.pts_ms * fps / 1000 + 0.5)  # a time rounded to a ms doesn't fall into the slot before
        if slot != last:
            yield frame
        last = slot


class StillnessDetector:
    """Finds frames whose mask can be the one before.

    They are compared with the frame that the mask was made for, not with the frame before: small steps add up.
    """

    def __init__(self, plan: TrackPlan) -> None:
        self._plan = plan
        self._seen: Pixels | None = None
        self._seen_ms = 0

    def step(self, grey: Pixels, pts_ms: int, *, cut: bool) -> bool:
        """Whether the frame's mask is the one before; if not, this becomes the frame to compare with."""
        if self._seen is not None and not cut and pts_ms - self._seen_ms < self._plan.hold_ms:
            whole, block = measure_change(self._seen, grey)
            if whole < self._plan.still and block < self._plan.still_block:
                return True
        self._seen, self._seen_ms = grey, pts_ms
        return False
