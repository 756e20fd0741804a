"""The timeline of a video's quality, as SVG."""

from collections.abc import Iterator
from xml.sax.saxutils import escape

from danmatte.quality.assessment import VideoQuality
from danmatte.quality.pooling import GRADES, MIN_SCORES, format_score

_WIDTH, _HEIGHT = 960, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 18, 24
_COLOURS = {"A": "#1b9e77", "B": "#66a61e", "C": "#e6ab02", "D": "#d95f02", "E": "#b2182b"}
_MARKS = {"frozen_share": "#7570b3", "dropped_share": "#e7298a"}
_MIN_MARKS, _STEPS_MS = 8, (100, 500, 1000, 5000, 15000, 60000, 300000, 900000, 3600000)


def draw_timeline(found: VideoQuality) -> str:
    """Return the SVG: a bar per sampled frame, in its grade's colour, cuts as lines, and stutter above them."""
    title = f"{found.video}: {found.grade}, {format_score(found.score)} of 100"
    lines = "\n".join(_draw(found))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" '
        f'font-size="11"><title>{escape(title)}</title>\n{lines}\n</svg>\n'
    )


def _draw(found: VideoQuality) -> Iterator[str]:
    first_ms = found.shots[0].from_ms
    span_ms = max(1, found.duration_ms)

    def place(time_ms: int) -> float:
        return _LEFT + (time_ms - first_ms) / span_ms * (_WIDTH - _LEFT - _RIGHT)

    yield '<rect width="100%" height="100%" fill="#fff"/>'
    for grade in GRADES:
        y = _rise(MIN_SCORES[grade])
        yield f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield f'<text x="{_LEFT - 6}" y="{y - 3:.1f}" text-anchor="end" fill="{_COLOURS[grade]}">{grade}</text>'
    ends = [sample.pts_ms for sample in found.samples[1:]] + [first_ms + span_ms]
    for sample, end_ms in zip(found.samples, ends, strict=True):
        left, right = place(sample.pts_ms), place(end_ms)
        score = sample.score
        colour = "#222" if score is None else _COLOURS[next(grade for grade in GRADES if score >= MIN_SCORES[grade])]
        y = _rise(score or 0.0)
        yield (
            f'<rect x="{left:.1f}" width="{max(0.5, right - left):.1f}" y="{min(y, _rise(1)):.1f}" '
            f'height="{_rise(0) - min(y, _rise(1)):.1f}" fill="{colour}"/>'
        )
    for shot in found.shots:
        left = place(shot.from_ms)
        ends_at = f'x1="{left:.1f}" x2="{left:.1f}" y1="{_TOP}" y2="{_rise(0)}"'
        yield f'<line {ends_at} stroke="#555" stroke-dasharray="2 3"/>'
        for number, (name, colour) in enumerate(_MARKS.items()):
            if share := getattr(shot, name):
                width = share * (place(shot.to_ms) - left)
                words = f"{name.removesuffix('_share')} {100 * share:.1f} %"
                yield (
                    f'<rect x="{left:.1f}" width="{max(1.0, width):.1f}" y="{4 + 6 * number}" height="5" '
                    f'fill="{colour}"><title>{words}</title></rect>'
                )
    yield from _draw_times(first_ms, span_ms)


def _draw_times(first_ms: int, span_ms: int) -> Iterator[str]:
    step = next((step for step in reversed(_STEPS_MS) if span_ms / step >= _MIN_MARKS), _STEPS_MS[0])
    step *= max(1, round(span_ms / step / (3 * _MIN_MARKS)))
    for time_ms in range(-(-first_ms // step) * step, first_ms + span_ms, step):
        x = _LEFT + (time_ms - first_ms) / span_ms * (_WIDTH - _LEFT - _RIGHT)
        yield f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#555">{format_time(time_ms)}</text>'


def format_time(time_ms: int) -> str:
    """Return a time in minutes and seconds, with tenths unless it is a whole second."""
    minutes, rest = divmod(time_ms, 60_000)
    return f"{minutes}:{rest // 1000:02}" + (f".{rest % 1000 // 100}" if rest % 1000 else "")


def _rise(score: float) -> float:
    return _HEIGHT - _BOTTOM - score / 100 * (_HEIGHT - _TOP - _BOTTOM)
