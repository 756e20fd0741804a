"""Tests of what a probability map detects: drawn text, and photographs with and without people."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

Look: TypeAlias = Callable[[np.ndarray], np.ndarray]
Size: TypeAlias = tuple[int, int]  # height, width

LINES = ("Comments pass behind people", "and keep off what is written", "on boards and in subtitles")
WITH_PEOPLE = ("astronaut.jpg", "hopper.jpg", "photographer.jpg", "two-speakers.jpg")
WITHOUT_PEOPLE = ("cat.jpg", "coffee.jpg", "galaxies.jpg", "launch.jpg")
SMALLEST = 128  # minimum side; smaller pages have no space for a legible line
LIT = 0.3  # the usual threshold of text detectors; that of masks of people is higher, but their maps are steep
_ON_LINES, _BESIDE, _IN_PHOTOGRAPHS = 0.6, 0.08, 0.2  # minimum share of lines, maximum shares elsewhere
_TIMES, _MORE = 2.0, 0.02  # minimum factor and offset between coverage with people and without
_AROUND = 25  # pixels around a line, on a page of width 640, that count neither as line nor as clear


@dataclass(frozen=True)
class DrawnPage:
    """A page of text.

    picture: (1, H, W, 3) uint8. places: of the lines. clear: (H, W) bool, the pixels at a distance from all lines.
    """

    picture: np.ndarray
    places: tuple[tuple[slice, slice], ...]
    clear: np.ndarray


def draw_page(size: Size, *, dark: bool = False) -> DrawnPage:
    """Return a page of ``size`` (height, width) with three lines, dark on light or light on dark."""
    height, width = size
    page = np.full((height, width, 3), 30 if dark else 255, np.uint8)
    scale, places, lines = width / 640, [], np.zeros(size, np.uint8)
    thickness = max(1, round(2 * scale))
    for number, line in enumerate(LINES):
        foot, left = height * (number + 1) // 5, width // 20
        (long, high), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
        ink = (255,) * 3 if dark else (0,) * 3
        cv2.putText(page, line, (left, foot), cv2.FONT_HERSHEY_SIMPLEX, scale, ink, thickness, cv2.LINE_AA)
        places.append((slice(max(0, foot - high), foot), slice(left, min(width, left + long))))
        lines[places[-1]] = 1
    reach = max(3, round(_AROUND * scale)) | 1
    clear = cv2.dilate(lines, np.ones((reach, reach), np.uint8)) == 0
    return DrawnPage(page[None], tuple(places), clear)


def finds_text(look: Look, size: Size, photographs: Sequence[np.ndarray]) -> str:
    """Return the reason why a map detects text, in words; empty if it doesn't.

    look: a function from a picture, (1, H, W, 3) uint8, to the map, (h, w), which may be smaller.
    photographs: pictures of the same size with almost no text.
    """
    if min(size) < SMALLEST:
        return ""
    covered, beside = [], []
    for dark in (False, True):
        page = draw_page(size, dark=dark)
        lit = _enlarge(look(page.picture), size) > LIT
        covered += [float(lit[place].any(axis=0).mean()) for place in page.places]
        beside.append(float(lit[page.clear].mean()))
    elsewhere = float(np.mean([(look(picture) > LIT).mean() for picture in photographs]))
    if min(covered) < _ON_LINES or max(beside) > _BESIDE or elsewhere > _IN_PHOTOGRAPHS:
        return ""
    return (
        f"it covers {np.mean(covered):.0%} of the lines of drawn pages, {max(beside):.1%} beside them, and "
        f"{elsewhere:.1%} of photographs"
    )


def finds_people(look: Look, photographs: dict[str, np.ndarray]) -> tuple[bool, str]:
    """Return whether a map covers more of photographs with people than of those without, and the shares in words.

    photographs: (1, H, W, 3) uint8, by the names of the samples.
    """
    share = {name: float((look(picture) > 0.5).mean()) for name, picture in photographs.items()}
    people = float(np.mean([share[name] for name in WITH_PEOPLE]))
    others = float(np.mean([share[name] for name in WITHOUT_PEOPLE]))
    words = f"it covers {people:.1%} of photographs with people and {others:.1%} of those without"
    return people >= _TIMES * others + _MORE, words


def _enlarge(values: np.ndarray, size: Size) -> np.ndarray:
    return np.asarray(cv2.resize(values.astype(np.float32), size[::-1], interpolation=cv2.INTER_LINEAR))
