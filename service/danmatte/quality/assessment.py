"""The results of an assessment: for sampled frames, for shots, and for the whole video."""

from msgspec import Struct

from danmatte.errors import say_where
from danmatte.quality.brightness import Bars
from danmatte.quality.kind import Kind
from danmatte.quality.people import Scale
from danmatte.quality.pooling import Grade, format_score


class Parts(Struct, frozen=True):
    """The parts that explain a score, from 0 to 100 each; 100 means that there is no such damage."""

    sharpness: float
    blocking: float
    noise: float
    banding: float
    exposure: float


class FrameQuality(Struct, frozen=True):
    """A sampled frame. A black one has no score and no parts; people are None if there is no mask of its second."""

    pts_ms: int
    score: float | None
    parts: Parts | None
    people_share: float | None
    shot_scale: Scale | None


class ShotQuality(Struct, frozen=True):
    """A shot from `from_ms` to `to_ms`; an all-black shot has no score and no grade.

    `frozen_share` and `dropped_share` are shares of its time. Of its seconds with a mask, `people_time` is the share in
    which people are visible, `people_share` is people's mean share of the picture, and `shot_scale` is the most
    frequent scale of those with people. `worst_ms` is the time of its worst sampled frame.
    """

    from_ms: int
    to_ms: int
    score: float | None
    grade: Grade | None
    kind: Kind
    parts: Parts | None
    frozen_share: float
    dropped_share: float
    people_time: float | None
    people_share: float | None
    shot_scale: Scale | None
    worst_ms: int


class VideoQuality(Struct, frozen=True):
    """The verdict on a video: score and grade, the parts that explain them, shots and sampled frames.

    Shares are shares of its time, and people are described as for shots. `broken` says which frames were lost; `model`
    is the version that judged, as `name/version`.
    """

    video: str
    size: str
    duration_ms: int
    frames: int
    score: float
    grade: Grade
    kind: Kind
    parts: Parts | None
    black_share: float
    frozen_share: float
    dropped_share: float
    letterbox: Bars
    people_time: float | None
    people_share: float | None
    shot_scale: Scale | None
    shots: list[ShotQuality]
    samples: list[FrameQuality]
    model: str
    broken: str
    seconds: float

    def describe(self) -> str:
        """Return the verdict as text."""
        parts = ", ".join(f"{name} {getattr(self.parts, name):.0f}" for name in Parts.__struct_fields__ if self.parts)
        faults = {"black": self.black_share, "frozen": self.frozen_share, "dropped": self.dropped_share}
        shares = ", ".join(f"{100 * share:.1f} % {name}" for name, share in faults.items() if share)
        words = f"{self.video}: {self.grade}, {format_score(self.score)} of 100 ({self.kind}, {len(self.shots)} shots"
        words += f"; {parts}" * bool(parts) + f"; {shares}" * bool(shares) + f") in {self.seconds:.1f} s"
        return words + (f"\n{self.video}: broken: {self.broken}" if self.broken else "")


class FailedAssessment(Struct, frozen=True):
    """A video that couldn't be assessed."""

    video: str
    error: str

    def describe(self) -> str:
        """Return the reason as text."""
        return say_where(self.video, self.error)
