"""Drawn pages and lines of text, as frames for graphs that detect or recognise text.

The drawings are the same in every run, so they needn't be stored, and no licence applies to them.
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

TEXT = """comments pass behind people and keep off what is written on boards in subtitles streets shops letters numbers
a quick model finds every line however small it may be and leaves the rest of the picture alone until tomorrow
Station Market Library OPEN CLOSED EXIT Platform Museum Bakery North South Saturday Monday price total"""
WORDS = TEXT.split()
PAGE = (640, 640)  # width, height
LINE = (320, 48)
INKS = ((0, 0, 0), (20, 30, 90), (120, 10, 10), (255, 255, 255), (250, 220, 40))
PAPERS = ((255, 255, 255), (244, 238, 220), (30, 34, 40), (40, 90, 60), (200, 214, 228))


def draw_pages(folder: Path, count: int, backgrounds: Sequence[Path] = ()) -> Path:
    """Draw ``count`` pages with lines of text; every second one on one of the backgrounds, if there are any."""

    def draw(rng: random.Random, number: int) -> Image.Image:
        if backgrounds and number % 2:
            path = backgrounds[number % len(backgrounds)]
            page = Image.open(path).convert("RGB").resize(PAGE)
        else:
            page = Image.new("RGB", PAGE, rng.choice(PAPERS))
        top = rng.randint(10, 60)
        while top < PAGE[1] - 40:
            size = rng.randint(14, 44)
            words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 7)))
            write(page, (rng.randint(8, PAGE[0] // 3), top), words, size, rng)
            top += round(size * rng.uniform(1.2, 3.5))
        return page

    return store_drawings(folder, count, draw)


def draw_lines(folder: Path, count: int, *, size: tuple[int, int] = LINE, turned: bool = False) -> Path:
    """Draw ``count`` single lines of text of ``size``, (width, height); ``turned``: every second one upside down."""

    def draw(rng: random.Random, number: int) -> Image.Image:
        line = Image.new("RGB", size, rng.choice(PAPERS))
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 4)))
        write(line, (rng.randint(2, 12), rng.randint(2, 10)), words, rng.randint(24, 32), rng)
        return line.rotate(180) if turned and number % 2 else line

    return store_drawings(folder, count, draw)


def write(page: Image.Image, place: tuple[int, int], words: str, size: int, rng: random.Random) -> None:
    """Write the words in an ink that contrasts with the page behind them."""
    behind = np.asarray(page.crop((*place, page.width, min(page.height, place[1] + size)))).reshape(-1, 3).mean(axis=0)
    contrasting = [ink for ink in INKS if abs(float(np.mean(ink)) - float(behind.mean())) > 80]
    font = ImageFont.load_default(size)
    ImageDraw.Draw(page).text(place, words, fill=rng.choice(contrasting or list(INKS[:1])), font=font)


def store_drawings(folder: Path, count: int, draw: Callable[[random.Random, int], Image.Image]) -> Path:
    """Store drawings, slightly blurred as by a camera, and return the folder; existing files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = folder / f"drawn{number:03d}.png"
        if not path.exists():
            drawing = draw(random.Random(number), number)
            drawing.filter(ImageFilter.GaussianBlur(0.4)).save(path)
    return folder
