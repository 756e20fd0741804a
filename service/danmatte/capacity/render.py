"""Output of a plan as text, as an SVG curve, and as values for the Helm chart."""

import math
from collections.abc import Iterator
from xml.sax.saxutils import escape

from danmatte.capacity.check import Comparison
from danmatte.capacity.plan import Plan

_COLOURS = {"periodic": "#1b9e77", "jitter": "#7570b3", "poisson": "#d95f02", "recorded": "#d95f02"}
_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _RIGHT = 720, 420, 70, 60, 30, 20
_HEADROOM = 0.9  # because an autoscaler tolerates deviations of 10 % from its target
_MEMORY_SLACK = 1.5  # times the memory of a worker after some minutes
_MEBIBYTE = 2**20


def write_text(plan: Plan) -> Iterator[str]:
    """Yield the lines of the plan as text."""
    yield f"{plan.machines} machines, {plan.cores} cores, {plan.pods} pods of {plan.cores_per_pod} cores ({plan.frame})"
    yield f"binds: {plan.binds}"
    yield ""
    yield f"{'':26}{'load':>28}{'pods':>6}{'a second':>10}{'p50 ms':>8}{'p99 ms':>8}{'refused':>9}{'busy':>6}"
    rows = {
        "today": plan.today,
        "with growth": plan.grown,
        "and one machine fewer": plan.one_fewer,
        "largest without the spares": plan.largest,
    }
    for name, figures in rows.items():
        times = f"{_write_ms(figures.p50_ms):>8}{_write_ms(figures.p99_ms):>8}"
        load = f"{figures.load:>28}{figures.pods:>6}{figures.per_s:>10.1f}"
        yield f"{name:26}{load}{times}{figures.refused_share:>9.2%}{figures.busy:>6.0%}"
    if plan.ranges:
        yield ""
        yield "largest load by arrivals: " + ", ".join(f"{name} {load}" for name, load in plan.ranges.items())
    if plan.video_core_hours is not None:
        yield f"the archive takes {plan.video_core_hours:.0f} core-hours"
    if plan.cost_a_month is not None:
        yield f"cost: {plan.cost_a_month:.2f} a month"
    for note in plan.notes:
        yield f"note: {note}"


def write_comparison(found: Comparison) -> str:
    """Return one line of a check's output."""
    sides = (
        ("p50", found.predicted.p50_ms, found.measured.p50_ms),
        ("p99", found.predicted.p99_ms, found.measured.p99_ms),
    )
    times = ", ".join(f"{name} {_write_ms(one)} predicted, {_write_ms(two)} measured" for name, one, two in sides)
    refused = f"{found.predicted.refused_share:.1%} and {found.measured.refused_share:.1%} refused"
    return f"{found.pattern:9}{found.share:>5.0%}  {found.measured.load}: {times} ms, {refused}"


def _write_ms(value_ms: float) -> str:
    return f"{value_ms:.1f}" if math.isfinite(value_ms) else "never"


def draw_svg(plan: Plan) -> str:
    """Return a plot of p99 over the request rate by pattern of arrivals, with the limit and the load with growth."""
    limit_ms, max_per_s = plan.p99_limit_ms, plan.curve[-1].per_s
    top_ms = 2.5 * limit_ms  # curves are clipped above, because only exceeding the limit matters

    def place(per_s: float, ms: float) -> tuple[float, float]:
        across = _LEFT + (_WIDTH - _LEFT - _RIGHT) * per_s / max_per_s
        return across, _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * min(ms, top_ms) / top_ms

    parts = [_draw_line((_LEFT, _HEIGHT - _BOTTOM), (_WIDTH - _RIGHT, _HEIGHT - _BOTTOM), "#444")]
    parts.append(_draw_line((_LEFT, _TOP), (_LEFT, _HEIGHT - _BOTTOM), "#444"))
    for per_s in _choose_ticks(max_per_s):
        parts.append(_draw_text(place(per_s, 0)[0], _HEIGHT - _BOTTOM + 18, f"{per_s:g}", "middle"))
    for ms in _choose_ticks(top_ms):
        parts.append(_draw_text(_LEFT - 8, place(0, ms)[1] + 4, f"{ms:g}", "end"))
    parts.append(_draw_text(_WIDTH / 2, _HEIGHT - 18, "requests a second, one machine fewer", "middle"))
    parts.append(_draw_text(_LEFT, _TOP - 12, "p99, ms", "middle"))
    parts.append(_draw_line(place(0, limit_ms), place(max_per_s, limit_ms), "#c00", dashes="6 4"))
    planned = min(plan.grown.per_s, max_per_s)
    parts.append(_draw_line(place(planned, 0), place(planned, top_ms), "#888", dashes="2 3"))
    for number, pattern in enumerate(plan.curve[0].p99_ms):
        colour = _COLOURS[pattern]
        known = [(point.per_s, point.p99_ms[pattern]) for point in plan.curve]
        points = " ".join("{:.1f},{:.1f}".format(*place(per_s, ms)) for per_s, ms in known)
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        parts.append(_draw_text(_LEFT + 14, _TOP + 14 + 18 * number, pattern, "start", colour))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        f'font-size="13">\n<title>{escape(plan.frame)}: {plan.pods} pods of {plan.cores_per_pod} cores</title>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _choose_ticks(most: float) -> list[float]:
    """Return about four to ten round numbers from 0 to `most`."""
    decade = 10 ** math.floor(math.log10(most))
    step = next(step for step in (decade / 10, decade / 5, decade / 4, decade / 2, decade) if most / step <= 10)
    return [step * number for number in range(math.floor(most / step) + 1)]


def _draw_line(start: tuple[float, float], end: tuple[float, float], colour: str, dashes: str = "none") -> str:
    ends = 'x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"'.format(*start, *end)
    return f'<line {ends} stroke="{colour}" stroke-dasharray="{dashes}"/>'


def _draw_text(across: float, down: float, text: str, anchor: str, colour: str = "#222") -> str:
    return f'<text x="{across:.1f}" y="{down:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


def write_helm_values(plan: Plan) -> str:
    """Return values for `service/chart`: replicas, resource requests, and the targets of autoscaling."""
    memory = math.ceil(_MEMORY_SLACK * plan.memory_bytes / (64 * _MEBIBYTE)) * 64
    percent = max(1, math.floor(100 * _HEADROOM * plan.pod_busy))
    requested, limits = "", ""  # if memory wasn't measured, the chart's defaults apply
    if memory:
        requested, limits = f"    memory: {memory}Mi\n", f"  limits:\n    memory: {2 * memory}Mi\n"
    return f"""\
# Written by `danmatte plan`: {plan.grown.load}, p99 {plan.grown.p99_ms:.0f} ms; {plan.binds}.
replicas: {plan.pods}
resources:
  requests:
    cpu: "{plan.cores_per_pod}"
{requested}{limits}autoscaling:
  kind: hpa
  minReplicas: {plan.pods}
  maxReplicas: {2 * plan.pods}
  cpuPercent: {percent}
  requestsPerSecond: {max(0.1, _HEADROOM * plan.pod_per_s):.1f}
"""
