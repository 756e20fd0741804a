"""What is to be done with each frame of a video: left out, held, or shown to the network."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from danmatte.contract.framing import Framing
from danmatte.contract.manifest import Manifest
from danmatte.frame import Frame, Pixels, Probabilities, Size
from danmatte.tracks.refinement import Closer, Glance
from danmatte.video.analysis import Sight, Sights
from danmatte.video.motion import Cuts, change
from danmatte.video.reader import Shot, Video
from danmatte.video.stabiliser import Care

BOX = Size(180, 320)
_WORKING_SIDE = 320  # finer than this, a mask is enlarged: the networks know no more


@dataclass(frozen=True)
class Plan:
    """How a track is made.

    `size` is the masks', `fps` the most of them a second; `care` None leaves them as the network gives them.
    A frame is held, its mask the one before, while it differs from the last that the network saw by less than
    `still` grey levels on the whole, and than `still_block` in the worst block, and for less than `hold_ms`.
    `closer` has people looked at a second time, for finer masks.
    """

    size: Size
    fps: float = 30.0
    still: float = 1.5
    still_block: float = 8.0
    hold_ms: int = 1000
    care: Care | None = field(default_factory=Care)
    closer: bool = False

    @property
    def working(self) -> Size:
        """The size at which frames are compared and masks stabilised."""
        shrunk = min(1.0, _WORKING_SIDE / max(self.size))
        return Size(*(max(1, round(side * shrunk)) for side in self.size))


@dataclass(frozen=True)
class Look:
    """A frame that gets a mask; `picture` is the graph's input, None to hold the mask before.

    `detail` is the frame as `Closer` wants it; None where people aren't looked at a second time.
    """

    sight: Sight
    picture: Pixels | None = field(repr=False)
    detail: Pixels | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Seen:
    """What the network answered for a frame, and for the part of it that it looked at again."""

    values: Probabilities = field(repr=False)
    glance: Glance | None = None


def mask_size(shown: Size, box: Size = BOX) -> Size:
    """The largest size of these proportions within the box, lying or standing as they do."""
    high, wide = sorted(box, reverse=shown.height > shown.width)
    scale = min(high / shown.height, wide / shown.width)
    return Size(max(1, round(shown.height * scale)), max(1, round(shown.width * scale)))


def looks(
    video: Video, manifest: Manifest, plan: Plan, from_ms: int = 0, closer: Closer | None = None
) -> Iterator[Look]:
    """A look at every frame from there on that is to get a mask, with its detail if `closer` is to look again."""
    cuts, reuse, sights = Cuts(), Reuse(plan), Sights(ahead=plan.care is not None and plan.care.ahead > 0)
    framing, order = Framing.of(manifest), manifest.input.colour
    scaled = framing.scale_size(video.size)
    for shot in thinned(video.frames(from_ms), plan.fps):
        grey = shot.grey(plan.working)
        cut = cuts.step(grey)
        picture = colours = detail = None
        if not reuse.step(grey, shot.pts_ms, cut=cut):
            picture = framing.fit(Frame(shot.colours(scaled, order), scaled))
            colours = framing.extract(picture, video.size, plan.working) if plan.care else None
            detail = shot.detail(closer.detail, order) if closer else None
        if plan.care:
            sight = sights.step(grey, shot.pts_ms, colours=colours, cut=cut, held=picture is None)
        else:
            sight = Sight(shot.pts_ms, cut, grey, grey)
        yield Look(sight, picture, detail)


def thinned(shots: Iterator[Shot], fps: float) -> Iterator[Shot]:
    """The first frame of every 1/fps of a second; it doesn't matter where one begins to look."""
    last = None
    for shot in shots:
        slot = int(shot.pts_ms * fps / 1000 + 0.5)  # a time rounded to a ms doesn't fall into the slot before
        if slot != last:
            yield shot
        last = slot


class Reuse:
    """Tells when a mask can be used again, always against the frame that it was made for: small steps add up."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._seen: Pixels | None = None
        self._seen_ms = 0

    def step(self, grey: Pixels, pts_ms: int, *, cut: bool) -> bool:
        """Whether the frame's mask is the one before; if not, this becomes the frame to compare with."""
        if self._seen is not None and not cut and pts_ms - self._seen_ms < self._plan.hold_ms:
            whole, block = change(self._seen, grey)
            if whole < self._plan.still and block < self._plan.still_block:
                return True
        self._seen, self._seen_ms = grey, pts_ms
        return False
