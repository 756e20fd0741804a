"""Screenshots of the film with comments: the shown frame and mask, and whether the machine was fast enough."""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from tests.real import browser

SCALE = 2  # of the stage to the film
WITHIN_S = 60
WORK_MS = 4  # a quarter of a repaint
WAIT_MS = 50  # three repaints; if a page waits longer for one, the machine was too slow
# Keep comments off the film's lowest rows; record repaints and the browser's frame callbacks.
BARE = f"""() => {{
  layer.style.bottom = "{SCALE * browser.FOOT}px";
  Object.assign(window, {{ repaints: [], announced: [] }});
  const note = (now) => requestAnimationFrame(note, repaints.push(now));
  requestAnimationFrame(note);
  const hear = (_now, {{ mediaTime, expectedDisplayTime }}) => {{
    announced.push({{ ms: 1000 * mediaTime, at: expectedDisplayTime }});
    video.requestVideoFrameCallback(hear);
  }};
  video.requestVideoFrameCallback?.(hear);
}}"""
NOTES = """(since) => new Promise((done) => requestAnimationFrame((now) => done({
  repaints: repaints.filter((time) => time > since - 120).concat(now),
  announced: announced.slice(-90).map(({ ms, at }) => [ms, at]),
  chosen: seen.filter(({ pts }) => pts !== null).slice(-90).map(({ pts, at }) => [pts, at]),
})))"""


@dataclass(frozen=True)
class Screenshot:
    """A screenshot: the shown frame, the number of frames by which the mask is ahead, and whether it may be judged.

    It is unfair to judge it if the machine delayed repaints, if it shows a frame that should have been replaced before
    the mask came, or a mask that the page had replaced before the frame was due.
    """

    frame: int
    apart: int
    fair: bool


def classify_stage(page: object) -> np.ndarray:
    """Return the class of each pixel of the stage: comments (1), person (2), or background without comments (0)."""
    return _classify(browser.decode_picture(page.locator("#stage").screenshot()))


def count_frames_apart(seen: np.ndarray, scale: float = 2.0) -> float:
    """Return by how many frames the mask differs from the box, from the uncovered background along the box's middle."""
    row = seen[round(90 * scale)]
    bare = max(0, np.count_nonzero(row == 0) - 4)  # edges are blended
    return bare / (browser.STEP * scale)


def take_screenshots(page: object, count: int, *, every_ms: int = 90) -> Iterator[Screenshot]:
    """Yield screenshots of a playing film; assert that comments are cut out in the box's shape."""
    for _ in range(count):
        page.wait_for_timeout(every_ms)
        began = page.evaluate("performance.now()")
        pixels = browser.decode_picture(page.locator("#stage").screenshot())
        yield judge(pixels, page.evaluate(NOTES, began))


def take_fair_screenshots(page: object, count: int) -> list[Screenshot]:
    """Return ``count`` fair screenshots out of at most four times as many; skip the test if the machine is too busy.

    Asserts that repaints aren't delayed by the page's scripts.
    """
    screenshots: list[Screenshot] = []
    end = time.monotonic() + WITHIN_S
    for one in take_screenshots(page, 4 * count):
        screenshots += [one] if one.fair else []
        if len(screenshots) == count or time.monotonic() > end:
            break
    assert statistics.median(page.evaluate("seen.map(({ work }) => work)")) < WORK_MS
    if len(screenshots) < count:
        pytest.skip(f"the machine let the page keep up at {len(screenshots)} moments of {count} only")
    return screenshots


def wait_for_frame(page: object, number: int) -> np.ndarray:
    """Wait for this frame; return the classes of a screenshot, with comments also on the lowest rows."""
    page.evaluate(f"layer.style.bottom = '{SCALE * browser.FOOT}px'")
    end = time.monotonic() + 20
    while (shown := _read_frame_number(browser.decode_picture(page.locator("#stage").screenshot()))) != number:
        assert time.monotonic() < end, f"expected frame {number} on the screen, received {shown}"
        page.wait_for_timeout(30)
    page.evaluate("layer.style.bottom = 0, new Promise((done) => setTimeout(done, 60))")
    return classify_stage(page)


def judge(pixels: np.ndarray, notes: dict[str, list]) -> Screenshot:
    """Return the screenshot's content, judged by the recorded events; times are in milliseconds."""
    frame, mask = _read_frame_number(pixels), _read_mask_number(pixels)
    waits = np.diff(notes["repaints"], prepend=notes["repaints"][0])
    announced, chosen = _to_numbers(notes["announced"]), _to_numbers(notes["chosen"])
    come = max((at for number, at in chosen if _count_apart(number, mask) == 0), default=0.0)
    due = max((at for number, at in announced if _count_apart(number, frame) == 0), default=0.0)
    late = _is_overdue(announced, frame, come), _is_overdue(chosen, mask, due)
    return Screenshot(frame, _count_apart(mask, frame), bool(waits.max() <= WAIT_MS) and not any(late))


def _to_numbers(times: list[tuple[float, float]]) -> list[tuple[int, float]]:
    return [(round(ms * browser.RATE / 1000), at) for ms, at in times]


def _is_overdue(times: list[tuple[int, float]], shown: int, moment: float) -> bool:
    """Return whether a newer one than the shown one was known before the moment."""
    before = [number for number, at in times if at <= moment]
    return bool(before) and _count_apart(before[-1], shown) > 0


def _count_apart(one: int, other: int) -> int:
    """Return by how many frames one is ahead of the other; the box has the same positions in both scenes."""
    half = browser.CUT // 2
    return (one - other + half) % browser.CUT - half


def _read_mask_number(pixels: np.ndarray) -> int:
    """Return the number of the shown mask, as a number of the first scene."""
    seen = _classify(pixels)
    assert np.all(seen[30] == 1), "comments are missing outside the person"
    hole = np.flatnonzero(seen[180] != 1)
    assert abs(len(hole) - SCALE * browser.BOX[0]) <= 6, f"{len(hole)} pixels are cut out"
    mask = round((hole[0] / SCALE - browser.locate_box(0)) / browser.STEP)
    assert abs(hole[0] - SCALE * browser.locate_box(mask)) <= SCALE
    return mask


def _read_frame_number(pixels: np.ndarray) -> int:
    """Return the frame's number from the film's lowest rows."""
    row = pixels[-SCALE * browser.FOOT // 2].astype(int)
    wide = row.shape[0] // browser.BITS
    return sum(int(row[wide * bit + wide // 2, 2] > 128) << bit for bit in range(browser.BITS))


def _classify(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.astype(int)
    comments = (pixels[..., 0] > 180) & (pixels[..., 1] < 120) & (pixels[..., 2] > 180)
    return np.where(pixels.min(-1) > 180, 2, np.where(comments, 1, 0))
