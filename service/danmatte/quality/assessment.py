"""What is told of a video's quality: of sampled frames, of shots, and of the whole."""

from msgspec import Struct

from danmatte.errors import say_where
from danmatte.quality.brightness import Bars
from danmatte.quality.kind import Kind
from danmatte.quality.people import Scale
from danmatte.quality.pooling import Grade, format_score


class Parts(Struct, frozen=True):
    """What a score is explained by, from 0 to 100 each; 100 is without that damage."""

    sharpness: float
    blocking: float
    noise: float
    banding: float
    exposure: float


class FrameQuality(Struct, frozen=True):
    """A sampled frame. A black one has no score and no parts; people are None where no masks were made near it."""

    pts_ms: int
    score: float | None
    parts: Parts | None
    people_share: float | None
    shot_scale: Scale | None


class ShotQuality(Struct, frozen=True):
    """A shot from `from_ms` to `to_ms`; one that is all black has no score and no grade.

    `frozen_share` and `dropped_share` are shares of its time. `people_time` is the share of its seconds, as far as
    masks were made, in which there is somebody, `people_share` what people take of the picture over all of these, and
    `shot_scale` the commonest one while there are people. `worst_ms` is its worst sampled frame.
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
    """A video: its score and grade, what explains them, its shots and its sampled frames.

    Shares are of its time, and people are told as for shots. `broken` says which frames were lost; `model` is the
    version that judged, as `name/version`.
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
        """The verdict in words."""
        parts = ", ".join(f"{name} {getattr(self.parts, name):.0f}" for name in Parts.__struct_fields__ if self.parts)
        faults = {"black": self.black_share, "frozen": self.frozen_share, "dropped": self.dropped_share}
        shares = ", ".join(f"{100 * share:.1f} % {name}" for name, share in faults.items() if share)
        words = f"{self.video}: {self.grade}, {format_score(self.score)} of 100 ({self.kind}, {len(self.shots)} shots"
        words += f"; {parts}" * bool(parts) + f"; {shares}" * bool(shares) + f") in {self.seconds:.1f} s"
        return words + (f"\n{self.video}: broken: {self.broken}" if self.broken else "")


class FailedAssessment(Struct, frozen=True):
    """A video that can't be assessed."""

    video: str
    error: str

    def describe(self) -> str:
        """Why not."""
        return say_where(self.video, self.error)
