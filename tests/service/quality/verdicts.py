"""Verdicts for tests of pages and timelines, built without assessing a video."""

from danmatte.quality.assessment import FrameQuality, Parts, ShotQuality, VideoQuality
from danmatte.quality.brightness import NO_BARS, Bars
from danmatte.quality.kind import Kind
from danmatte.quality.pooling import choose_grade

PARTS = Parts(sharpness=81.4, blocking=97.0, noise=60.5, banding=99.0, exposure=88.0)


def make_shot(
    from_ms: int, to_ms: int, score: float | None, *, kind: Kind = "camera", frozen: float = 0.0, dropped: float = 0.0
) -> ShotQuality:
    """Return a shot whose worst frame is its first one; without a score it is black."""
    return ShotQuality(
        from_ms=from_ms,
        to_ms=to_ms,
        score=score,
        grade=None if score is None else choose_grade(score),
        kind=kind,
        parts=None if score is None else PARTS,
        frozen_share=frozen,
        dropped_share=dropped,
        people_time=None,
        people_share=None,
        shot_scale=None,
        worst_ms=from_ms,
    )


def make_verdict(
    *shots: ShotQuality, video: str = "film.mp4", bars: Bars = NO_BARS, broken: str = "", score: float | None = None
) -> VideoQuality:
    """Return a verdict on these shots, with a sample per second; the default score is that of the worst shot."""
    scores = [shot.score for shot in shots if shot.score is not None]
    whole = min(scores, default=0.0) if score is None else score
    samples = [
        FrameQuality(time_ms, shot.score, shot.parts, None, None)
        for shot in shots
        for time_ms in range(shot.from_ms, shot.to_ms, 1000)
    ]
    return VideoQuality(
        video=video,
        size="1280x720",
        duration_ms=shots[-1].to_ms - shots[0].from_ms,
        frames=25 * len(samples),
        score=whole,
        grade=choose_grade(whole),
        kind=shots[0].kind,
        parts=PARTS if scores else None,
        black_share=0.0 if scores else 1.0,
        frozen_share=max(shot.frozen_share for shot in shots),
        dropped_share=max(shot.dropped_share for shot in shots),
        letterbox=bars,
        people_time=None,
        people_share=None,
        shot_scale=None,
        shots=list(shots),
        samples=samples,
        model="quality/1",
        broken=broken,
        seconds=1.25,
    )
