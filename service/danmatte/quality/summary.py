"""Summaries of the observations of a video: shots, and the verdict."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from danmatte.quality.assessment import FrameQuality, Parts, ShotQuality, VideoQuality
from danmatte.quality.brightness import join_bars
from danmatte.quality.kind import Kind, Movement, choose_kind
from danmatte.quality.people import NOBODY, SCALES, People, Scale
from danmatte.quality.pooling import choose_grade, pool, take_off_stutter
from danmatte.quality.stutter import NO_STUTTER, Stutter, find_stutter
from danmatte.quality.watch import Observations, Sample

_MOVING_KINDS: frozenset[Kind] = frozenset({"camera", "animation"})  # in other kinds, standing pictures are intended


@dataclass(frozen=True)
class FilmFacts:
    """A video's own facts: its name, its size as text, when it ends, and which frames were lost."""

    video: str
    size: str
    end_ms: int
    broken: str


@dataclass(frozen=True)
class _Span:
    """A sample, the time span that it represents, and the span's score, which is None if it is black."""

    sample: Sample
    from_ms: int
    to_ms: int
    score: float | None

    @property
    def seconds(self) -> float:
        return (self.to_ms - self.from_ms) / 1000


def summarize(seen: Observations, film: FilmFacts, model: str, seconds: float) -> VideoQuality:
    """Return the verdict on a video. Raises ValueError if it has no frames."""
    if not seen.samples:
        raise ValueError("expected frames, received none")
    changes, blocks = (np.array(values, np.float32) for values in (seen.changes, seen.blocks))
    stutter = find_stutter(np.array(seen.times_ms, np.int64), changes, blocks)
    last_ms = max(film.end_ms, seen.times_ms[-1] + 1)
    begins = [sample.pts_ms for sample in seen.samples] + [last_ms]
    shots, spans = [], list[_Span]()
    for number in sorted(set(seen.shots)):
        samples = [(at, sample) for at, sample in enumerate(seen.samples) if sample.shot == number]
        kind = _find_kind(seen, number, [sample for _, sample in samples])
        counted = stutter if kind in _MOVING_KINDS else NO_STUTTER
        own = [_measure_span(sample, begins[at], begins[at + 1], counted) for at, sample in samples]
        shots.append(_summarize_shot(own, kind, counted, seen))
        spans += own
    return _summarize_video(shots, spans, seen, film, (model, seconds))


def _measure_span(sample: Sample, from_ms: int, to_ms: int, stutter: Stutter) -> _Span:
    to_ms = max(to_ms, from_ms + 1)
    score = sample.verdict.result().score
    if score is not None:
        score = take_off_stutter(score, sum(stutter.measure(from_ms, to_ms)))
    return _Span(sample, from_ms, to_ms, score)


def _find_kind(seen: Observations, shot: int, samples: Sequence[Sample]) -> Kind:
    mine = np.array(seen.shots) == shot
    times = np.array(seen.times_ms)[mine]
    changes, areas = (np.array(values, np.float64)[mine] for values in (seen.changes, seen.areas))
    moved = np.isfinite(changes)
    movement = Movement(
        float(changes[moved].mean()) if moved.any() else 0.0, float(areas[moved].mean()) if moved.any() else 0.0
    )
    return choose_kind([sample.verdict.result().look for sample in samples], movement, int(times[-1] - times[0]))


def _summarize_shot(spans: Sequence[_Span], kind: Kind, stutter: Stutter, seen: Observations) -> ShotQuality:
    from_ms, to_ms = spans[0].from_ms, spans[-1].to_ms
    score = _pool(spans)
    frozen, dropped = stutter.measure(from_ms, to_ms)
    people = [
        person for second in range(from_ms // 1000, (to_ms - 1) // 1000 + 1) if (person := seen.people.get(second))
    ]
    worst = min(spans, key=lambda span: 101.0 if span.score is None else span.score)
    return ShotQuality(
        from_ms=from_ms,
        to_ms=to_ms,
        score=None if score is None else round(score, 1),
        grade=None if score is None else choose_grade(score),
        kind=kind,
        parts=_mean_parts(spans),
        frozen_share=round(frozen, 4),
        dropped_share=round(dropped, 4),
        people_time=_measure_people_time(people),
        people_share=_mean_share(people),
        shot_scale=_choose_scale(people),
        worst_ms=worst.sample.pts_ms,
    )


def _summarize_video(
    shots: list[ShotQuality], spans: Sequence[_Span], seen: Observations, film: FilmFacts, by: tuple[str, float]
) -> VideoQuality:
    lasting = [shot.to_ms - shot.from_ms for shot in shots]
    whole_ms = sum(lasting)
    score = _pool(spans) or 0.0  # 0 if all is black
    kinds = Counter[Kind]()
    for shot, length in zip(shots, lasting, strict=True):
        kinds[shot.kind] += length
    people = list(seen.people.values())
    return VideoQuality(
        video=film.video,
        size=film.size,
        duration_ms=whole_ms,
        frames=len(seen.times_ms),
        score=round(score, 1),
        grade=choose_grade(score),
        kind=kinds.most_common(1)[0][0],
        parts=_mean_parts(spans),
        black_share=round(sum(span.seconds for span in spans if span.sample.black) * 1000 / whole_ms, 4),
        frozen_share=_mean_by_time([shot.frozen_share for shot in shots], lasting),
        dropped_share=_mean_by_time([shot.dropped_share for shot in shots], lasting),
        letterbox=join_bars([span.sample.bars for span in spans if not span.sample.black]),
        people_time=_measure_people_time(people),
        people_share=_mean_share(people),
        shot_scale=_choose_scale(people),
        shots=shots,
        samples=[_describe_sample(span, seen) for span in spans],
        model=by[0],
        broken=film.broken,
        seconds=round(by[1], 3),
    )


def _describe_sample(span: _Span, seen: Observations) -> FrameQuality:
    people = seen.people.get(span.sample.pts_ms // 1000)
    return FrameQuality(
        pts_ms=span.sample.pts_ms,
        score=None if span.score is None else round(span.score, 1),
        parts=_mean_parts([span]),
        people_share=people.share if people else None,
        shot_scale=people.scale if people else None,
    )


def _pool(spans: Iterable[_Span]) -> float | None:
    judged = [(span.score, span.seconds) for span in spans if span.score is not None]
    return pool(*zip(*judged, strict=True)) if judged else None


def _mean_parts(spans: Iterable[_Span]) -> Parts | None:
    """Return the mean parts, weighted by time; None if all is black."""
    found = [(span, signs) for span in spans if (signs := span.sample.verdict.result().signs)]
    if not found:
        return None
    lasting = [span.seconds for span, _ in found]
    rows = [[*signs, span.sample.exposure] for span, signs in found]
    return Parts(*(round(float(value), 1) for value in np.average(rows, axis=0, weights=lasting)))


def _mean_by_time(shares: Sequence[float], lasting: Sequence[int]) -> float:
    return round(float(np.average(shares, weights=lasting)), 4)


def _mean_share(people: Sequence[People]) -> float | None:
    return round(float(np.mean([each.share for each in people])), 4) if people else None


def _measure_people_time(people: Sequence[People]) -> float | None:
    return round(float(np.mean([each.scale != NOBODY for each in people])), 4) if people else None


def _choose_scale(people: Sequence[People]) -> Scale | None:
    """Return the most frequent scale with people, the nearer one of equals; NOBODY if no mask shows people."""
    if not people:
        return None
    counts = Counter[Scale](each.scale for each in people if each.scale != NOBODY)
    return max(counts, key=lambda scale: (counts[scale], SCALES.index(scale)), default=NOBODY)
