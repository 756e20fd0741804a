"""The results of several videos as one self-contained HTML page."""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TypeAlias

import simplejpeg

from danmatte.frame import Pixels
from danmatte.quality.assessment import FailedAssessment, Parts, ShotQuality, VideoQuality
from danmatte.quality.pooling import format_score
from danmatte.quality.timeline import draw_timeline, format_time

Thumbnails: TypeAlias = Mapping[int, Pixels]
"""Pictures of shots, (H, W, 3) uint8 RGB, by the time of their worst frame in ms."""

WORST_SHOTS = 6
_STYLE = (Path(__file__).parent / "page.css").read_text("utf-8")


def write_page(found: Iterable[tuple[VideoQuality | FailedAssessment, Thumbnails]]) -> str:
    """Return the page: each video's verdict, timeline, shots and worst pictures, in the given order."""
    sections = "\n".join(_write_section(quality, thumbnails) for quality, thumbnails in found)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Video quality</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body><h1>Video quality</h1>\n{sections}\n</body></html>\n"
    )


def list_worst(found: VideoQuality) -> list[ShotQuality]:
    """Return the shots whose pictures are shown, the worst first."""
    judged = [shot for shot in found.shots if shot.score is not None]
    return sorted(judged, key=lambda shot: shot.score or 0.0)[:WORST_SHOTS]


def _write_section(found: VideoQuality | FailedAssessment, thumbnails: Thumbnails) -> str:
    if isinstance(found, FailedAssessment):
        return f"<section><h2>{escape(found.video)}</h2><p>Not assessed: {escape(found.error)}</p></section>"
    figures = "".join(_write_figure(shot, thumbnails.get(shot.worst_ms)) for shot in list_worst(found))
    facts = "".join(f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in _list_facts(found))
    return (
        f"<section><h2>{_write_grade(found.grade)} {escape(found.video)}</h2>"
        f"<p>{format_score(found.score)} of 100, {found.kind}, {escape(found.size)}, {format_time(found.duration_ms)}, "
        f'{len(found.shots)} shots</p><div class="scroll">{draw_timeline(found)}</div>'
        f"<h3>Worst shots</h3>{figures or '<p>None: all is black.</p>'}"
        f'<div class="scroll"><table>{facts}</table></div>{_write_shots(found)}'
        f'<p class="faint">Judged by {escape(found.model)}; {found.frames} frames seen, {len(found.samples)} judged.'
        "</p>"
        "</section>"
    )


def _list_facts(found: VideoQuality) -> Iterator[tuple[str, str]]:
    if found.parts:
        yield from ((name, f"{getattr(found.parts, name):.0f} of 100") for name in Parts.__struct_fields__)
    for name in ("black", "frozen", "dropped"):
        yield name, f"{100 * getattr(found, f'{name}_share'):.1f} % of the time"
    bars = found.letterbox
    yield (
        "letterbox",
        ", ".join(f"{side} {100 * share:.0f} %" for side, share in bars._asdict().items() if share) or "no",
    )
    if found.people_time is not None:
        yield "people", _describe_people(found)
    if found.broken:
        yield "broken", found.broken


def _describe_people(found: VideoQuality | ShotQuality) -> str:
    """Return for how much of the time people are visible, their scale, and their mean share of the picture then."""
    if not found.people_time or found.people_share is None:
        return "nobody"
    share = 100 * found.people_share / found.people_time
    return (
        f"{100 * found.people_time:.0f} % of the time: {found.shot_scale}, {share:.{int(share < 2)}f} % of the picture"
    )


def _write_shots(found: VideoQuality) -> str:
    rows = "".join(
        f"<tr><td>{format_time(shot.from_ms)}–{format_time(shot.to_ms)}</td>"
        f"<td>{_write_grade(shot.grade) if shot.grade else 'black'}</td>"
        f"<td>{'' if shot.score is None else format_score(shot.score)}</td><td>{shot.kind}</td>"
        f"<td>{100 * shot.frozen_share:.0f} %</td><td>{100 * shot.dropped_share:.0f} %</td>"
        f"<td>{'' if shot.people_time is None else _describe_people(shot)}</td></tr>"
        for shot in found.shots
    )
    names = ("shot", "grade", "score", "kind", "frozen", "dropped", "people")
    heads = "".join(f"<th>{name}</th>" for name in names)
    table = f'<div class="scroll"><table><tr>{heads}</tr>{rows}</table></div>'
    return f"<details><summary>All shots</summary>{table}</details>"


def _write_figure(shot: ShotQuality, picture: Pixels | None) -> str:
    score = format_score(shot.score or 0.0)
    words = f"{_write_grade(shot.grade or 'E')} {format_time(shot.worst_ms)}: {score}, {shot.kind}"
    if picture is None:
        return f"<figure><figcaption>{words}</figcaption></figure>"
    data = b64encode(simplejpeg.encode_jpeg(picture, quality=80)).decode()
    return (
        f'<figure><img alt="worst frame of the shot at {format_time(shot.from_ms)}" '
        f'src="data:image/jpeg;base64,{data}"><figcaption>{words}</figcaption></figure>'
    )


def _write_grade(grade: str) -> str:
    return f'<span class="grade {grade}">{grade}</span>'
