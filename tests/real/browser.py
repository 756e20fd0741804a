"""A real service, a real Chromium, and a film of a box whose position in every frame is known."""

import io
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from danmatte.frame import Size
from danmatte.tracks import Entry, TrackHeader, TrackWriter
from tests.architecture.sources import ROOT
from tests.service.serving import read_environment

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-features=LocalNetworkAccessChecks",  # a page that a test routes counts as one from the internet
)
READY_WITHIN_S = 90

# The film: a white box moves over a dark background, and starts again after a cut. The lowest rows contain the frame's
# number in bits, the lowest first, with blue for 1, so that a screenshot shows which frame was on the screen.
WIDTH, HEIGHT, FRAMES, RATE = 320, 180, 150, 25
BOX, STEP, CUT = (60, 100), 3, 75
GROUNDS = ((24, 24, 40), (70, 20, 20))
FOOT, BITS = 16, 8

Pixels = npt.NDArray[np.uint8]


def locate_box(number: int) -> int:
    """Return the box's left edge in a frame, in pixels of the film."""
    return 16 + STEP * (number % CUT)


def locate_other_box(number: int) -> int:
    """Return the box's left edge in another film, in which the box moves backwards."""
    return WIDTH - 16 - BOX[0] - STEP * (number % CUT)


def write_film(path: Path, locate: Callable[[int], int] = locate_box) -> None:
    """Write the film, lossless except for colours."""
    options = {"lossless": "1", "deadline": "realtime", "cpu-used": "8"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9", rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = WIDTH, HEIGHT, "yuv420p", RATE
        for number in range(FRAMES):
            pixels = np.full((HEIGHT, WIDTH, 3), GROUNDS[number // CUT], np.uint8)
            pixels[40 : 40 + BOX[1], locate(number) : locate(number) + BOX[0]] = 255
            pixels[-FOOT:] = np.repeat([(0, 0, 255 * (number >> bit & 1)) for bit in range(BITS)], WIDTH // BITS, 0)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def write_track(path: Path, locate: Callable[[int], int] = locate_box) -> None:
    """Write the film's masks."""
    size = Size(HEIGHT, WIDTH)
    with TrackWriter(path, TrackHeader(size, "background" if path.suffix == ".webmask" else "person")) as writer:
        for number in range(FRAMES):
            mask = np.zeros(size, np.bool_)
            mask[40 : 40 + BOX[1], locate(number) : locate(number) + BOX[0]] = True
            writer.add(Entry(round(1000 * number / RATE), mask, True, number == CUT, False, float(mask.mean())))


@contextmanager
def run_service(models: Path) -> Iterator[str]:
    """Run a service as a separate process on a free port; yield its address."""
    command = [sys.executable, "-m", "danmatte", "serve", "--models", str(models), "--port", "0"]
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=read_environment())
    watch = threading.Timer(READY_WITHIN_S, server.kill)
    watch.start()
    try:
        assert server.stdout
        line = next((line for line in server.stdout if "ready on" in line), "")
        watch.cancel()
        assert line, "the service ended before it was ready"
        yield line.split()[-1]
    finally:
        watch.cancel()
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(40)
        finally:
            server.kill()
            if server.stdout:
                server.stdout.close()


@contextmanager
def open_browser() -> Iterator["object"]:
    """Yield Chromium, or skip the test with the reason."""
    api = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    if not CHROMIUM.exists():
        pytest.skip(f"needs {CHROMIUM}")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


def wait_until(page: object, condition: str, within_s: float = 30) -> None:
    """Wait for a condition in JavaScript, even if the page's policy forbids `eval`."""
    end = time.monotonic() + within_s
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"waited {within_s} s for {condition}"
        page.wait_for_timeout(30)


def decode_picture(png: bytes) -> Pixels:
    """Return a screenshot's pixels, RGB."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def grow(mask: np.ndarray, pixels: int) -> np.ndarray:
    """Return the mask, (H, W) bool, grown by ``pixels`` on every side, including corners."""
    near = mask.copy()
    for _ in range(pixels):
        near[1:] |= near[:-1].copy()
        near[:-1] |= near[1:].copy()
        near[:, 1:] |= near[:, :-1].copy()
        near[:, :-1] |= near[:, 1:].copy()
    return near


def route_files(found: dict[str, bytes | str]) -> Callable[[object], None]:
    """Return a Playwright route that responds with these bodies by path, and continues all other requests."""
    kinds = {"html": "text/html", "js": "text/javascript", "mjs": "text/javascript"}

    def answer(route: object) -> None:
        path = route.request.url.partition("://")[2].partition("/")[2].partition("?")[0]
        if path not in found:
            route.continue_()
            return
        kind = kinds.get(path.rpartition(".")[2], "application/octet-stream")
        route.fulfill(body=found[path], content_type=kind)

    return answer
