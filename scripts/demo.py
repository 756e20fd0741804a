"""`scripts/run`: optimize the default model, serve the best version, post a real frame, and store its mask."""

import argparse
import io
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageFilter, ImageStat

import served_version
from danmatte_workbench.errors import WorkbenchError
from direct import open_url
from picture import comments_behind

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ROOT / ".venv" / "bin"
FRAME = ROOT / "workbench" / "danmatte_workbench" / "samples" / "two-speakers.jpg"
DEFAULT = "deeplab"
BUNDLED = ROOT / "models"
MODELS = ROOT / "build" / "models"
OUT = ROOT / "build" / "check"
PEOPLE = ((280, 250, 390, 420), (820, 450, 1000, 660))  # inside of a face and of a suit, in pixels of the frame
NOBODY = (0, 0, 1280, 150)  # the sky above them
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0
POSTS = 20


class DemoError(Exception):
    """A step of the demonstration failed; the message says which."""


@dataclass(frozen=True)
class Answer:
    """A response of the service: the mask as PNG, the headers with names in lower case, and the wall-clock time."""

    png: bytes
    headers: dict[str, str]
    took_ms: float


def main() -> int:
    """Run the demonstration; return 0 if every step succeeded."""
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__)
    parser.add_argument("--check", action="store_true", help="stop the server at the end instead of keeping it running")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped, too
    try:
        models = choose_models(optimize())
        with served(models) as (address, server):
            show(address)
            if not options.check:
                stay(address, server)
    except DemoError as error:
        say(f"failed: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    say("every step succeeded")
    return 0


def optimize() -> Path | None:
    """Publish the best version that a quick search finds; return its folder, or None if nothing was published."""
    say("optimizing the default model, quick effort: a few minutes")
    command: list[str | Path] = [COMMANDS / "workbench", "optimize", DEFAULT, "--effort", "quick", "--models", MODELS]
    started, before = time.monotonic(), list_versions(MODELS)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in (0, 1):  # 1: no candidate was within the budget, or time ran out
        raise DemoError(f"`workbench optimize` ended with {code}")
    say(f"optimized in {time.monotonic() - started:.0f} s")
    return next((folder for folder in list_versions(MODELS) if folder not in before), None)


def list_versions(models: Path) -> list[Path]:
    """Return the folders of the default model's versions below ``models``, newest first."""
    home = models / DEFAULT
    names = [path.name for path in home.iterdir() if path.name.isdecimal()] if home.is_dir() else []
    return [home / name for name in sorted(names, key=int, reverse=True)]


def choose_models(fresh: Path | None) -> Path:
    """Return the folder of models to serve: that of the bundled version, or of the new one if it is better."""
    bundled = next(iter(list_versions(BUNDLED)), None)
    if fresh:
        say("racing the bundled version, the new one, and stock TensorFlow")
    try:
        chosen = served_version.choose(BUNDLED / DEFAULT / "model.toml", bundled, fresh)
    except WorkbenchError as error:
        raise DemoError(str(error)) from None
    where = chosen.folder.relative_to(ROOT)
    say(f"serving {where}: {chosen.reason}")
    return chosen.folder.parent.parent


@contextmanager
def served(models: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server; yield its address and process. At the end, stop it; raise DemoError unless it exits with 0."""
    port = free_port()
    command: list[str | Path] = [
        COMMANDS / "danmatte",
        "serve",
        "--models",
        models,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until_ready(address, server)
        yield address, server
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        code = server.wait(STOPPED_WITHIN_S)
        if code:
            raise DemoError(f"the server ended with {code} after SIGTERM; expected 0")
    except subprocess.TimeoutExpired:
        raise DemoError(f"the server didn't stop within {STOPPED_WITHIN_S:.0f} s") from None
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return when the server is ready. Raises DemoError if it ended or takes too long."""
    until = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise DemoError(f"the server ended with {server.returncode} before it was ready")
        try:
            with open_url(f"{address}/v2/health/ready", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise DemoError(f"the server wasn't ready within {READY_WITHIN_S:.0f} s")


def show(address: str) -> None:
    """Post the frame, write the mask and pictures with it, and print times. Raises DemoError if the mask is wrong."""
    body = FRAME.read_bytes()
    frame = Image.open(io.BytesIO(body)).convert("RGB")
    answers = [post(f"{address}/v1/mattes", body) for _ in range(POSTS)]
    png, headers = answers[-1].png, answers[-1].headers
    mask = Image.open(io.BytesIO(png)).convert("L")
    if mask.size != frame.size:
        raise DemoError(f"expected a mask of {frame.size}, received {mask.size}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "mask.png").write_bytes(png)
    overlay(frame, mask).save(OUT / "overlay.png")
    comments_behind(frame, mask).save(OUT / "comments.png")
    coverage = float(headers.get("x-person-coverage", "nan"))
    median = statistics.median(answer.took_ms for answer in answers[1:])
    say(f"{FRAME.name}, {frame.width}×{frame.height}: people cover {coverage:.1%}")
    say(f"first response after {answers[0].took_ms:.0f} ms, later ones {median:.0f} ms (median of {POSTS - 1})")
    say(f"time in the server: {headers.get('server-timing', 'unknown')}")
    say(f"written: mask.png, overlay.png and comments.png in {OUT.relative_to(ROOT)}")
    inside, outside = min(painted(mask, box) for box in PEOPLE), painted(mask, NOBODY)
    if inside < 0.8 or outside > 0.1:
        raise DemoError(
            f"expected the mask of both speakers, received {inside:.0%} of one, {outside:.0%} of the sky above them"
        )


def painted(mask: Image.Image, box: tuple[int, int, int, int]) -> float:
    """Return the share of a box that the mask covers, 0 to 1."""
    return float(ImageStat.Stat(mask.crop(box)).mean[0]) / 255


def post(url: str, body: bytes) -> Answer:
    """Post a frame to the service and return its mask. Raises DemoError without one."""
    request = urllib.request.Request(url, body, {"Content-Type": "image/jpeg", "Accept": "image/png"})
    started = time.perf_counter()
    try:
        with open_url(request, timeout=30) as answer:
            png = answer.read()
            headers = {name.lower(): value for name, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        raise DemoError(f"expected a mask, received {error.code}: {said}") from None
    except OSError as error:
        raise DemoError(f"no response from {url}: {error}") from None
    return Answer(png, headers, (time.perf_counter() - started) * 1000)


def overlay(frame: Image.Image, mask: Image.Image) -> Image.Image:
    """Return the frame with the background dark and blue, and the mask's outline in yellow."""
    backdrop = Image.blend(frame, Image.new("RGB", frame.size, (20, 40, 110)), 0.7)
    cut = Image.composite(frame, backdrop, mask)
    hard = mask.point(lambda alpha: 255 if alpha > 127 else 0)
    outline = hard.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.MaxFilter(3))
    return Image.composite(Image.new("RGB", frame.size, (255, 221, 51)), cut, outline)


def stay(address: str, server: subprocess.Popen[bytes]) -> None:
    """Wait until the server ends or Ctrl-C is pressed."""
    frame = FRAME.relative_to(ROOT)
    say(f"demo page with comments behind people: {address}/")
    say("serving until Ctrl-C; try:")
    print(
        f"curl --data-binary @{frame} -H 'Content-Type: image/jpeg' '{address}/v1/mattes' -o mask.png",
        flush=True,
    )
    try:
        server.wait()
    except KeyboardInterrupt:
        say("stopping")


def free_port() -> int:
    """Return a port on which no process listens at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def say(words: str) -> None:
    """Print one line of progress."""
    print(f"danmatte: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
