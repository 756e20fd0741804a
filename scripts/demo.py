"""What `scripts/run` does: optimize the default model, serve the best version, post a real frame, keep its mask."""

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
PEOPLE = ((280, 250, 390, 420), (820, 450, 1000, 660))  # a face and a suit, well inside, in pixels of the frame
NOBODY = (0, 0, 1280, 150)  # the sky above them
READY_WITHIN_S = 60.0
STOPPED_WITHIN_S = 30.0
POSTS = 20


class DemoError(Exception):
    """Something on the way didn't go as it must; the message says what."""


@dataclass(frozen=True)
class Answer:
    """A mask as the service sent it, its headers in lower case, and the wall time it took."""

    png: bytes
    headers: dict[str, str]
    took_ms: float


def main() -> int:
    """Run the demonstration; 0 if every part of it went well."""
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__)
    parser.add_argument("--check", action="store_true", help="stop the server at the end instead of staying up")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # leave no server behind
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
    say("all went well")
    return 0


def optimize() -> Path | None:
    """Publish the best version of the default model that a quick search finds; its folder, None where nothing is."""
    say("optimizing the default model, quick effort: a few minutes")
    command: list[str | Path] = [COMMANDS / "workbench", "optimize", DEFAULT, "--effort", "quick", "--models", MODELS]
    started, before = time.monotonic(), list_versions(MODELS)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code not in (0, 1):  # 1: nothing kept the budget, or time ran out
        raise DemoError(f"`workbench optimize` ended with {code}")
    say(f"optimized in {time.monotonic() - started:.0f} s")
    return next((folder for folder in list_versions(MODELS) if folder not in before), None)


def list_versions(models: Path) -> list[Path]:
    """The default model's published versions there, newest first."""
    home = models / DEFAULT
    names = [path.name for path in home.iterdir() if path.name.isdecimal()] if home.is_dir() else []
    return [home / name for name in sorted(names, key=int, reverse=True)]


def choose_models(fresh: Path | None) -> Path:
    """The folder of models to serve from: where the bundled version is, or the new one where that is better."""
    bundled = next(iter(list_versions(BUNDLED)), None)
    if fresh:
        say("racing the version that comes along, the new one, and stock TensorFlow")
    try:
        chosen = served_version.choose(BUNDLED / DEFAULT / "model.toml", bundled, fresh)
    except WorkbenchError as error:
        raise DemoError(str(error)) from None
    where = chosen.folder.relative_to(ROOT)
    say(f"serving {where}: {chosen.reason}")
    return chosen.folder.parent.parent


@contextmanager
def served(models: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A running server and its address; at the end it is asked to stop, and must do so in good order."""
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
            raise DemoError(f"the server ended with {code} when asked to stop")
    except subprocess.TimeoutExpired:
        raise DemoError(f"the server didn't stop within {STOPPED_WITHIN_S:.0f} s") from None
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()


def wait_until_ready(address: str, server: subprocess.Popen[bytes]) -> None:
    """Return once the server says it is ready; a server that ended or takes too long is an error."""
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
    """Post the frame, write what came back, and say what it cost."""
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
    say(f"{FRAME.name}, {frame.width}×{frame.height}: {coverage:.1%} of it is person")
    say(f"answered in {answers[0].took_ms:.0f} ms at first, then {median:.0f} ms (median of {POSTS - 1})")
    say(f"of which in the server: {headers.get('server-timing', 'not said')}")
    say(f"to look at: mask.png, overlay.png and comments.png in {OUT.relative_to(ROOT)}")
    there, elsewhere = min(painted(mask, box) for box in PEOPLE), painted(mask, NOBODY)
    if there < 0.8 or elsewhere > 0.1:
        raise DemoError(
            f"expected the mask of both speakers, received {there:.0%} of one, {elsewhere:.0%} of the sky above them"
        )


def painted(mask: Image.Image, box: tuple[int, int, int, int]) -> float:
    """How much of a box is person, 0 to 1."""
    return float(ImageStat.Stat(mask.crop(box)).mean[0]) / 255


def post(url: str, body: bytes) -> Answer:
    """One frame to the service, its mask back."""
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
        raise DemoError(f"no answer from {url}: {error}") from None
    return Answer(png, headers, (time.perf_counter() - started) * 1000)


def overlay(frame: Image.Image, mask: Image.Image) -> Image.Image:
    """The person as it is, the rest dark and blue, and the outline between them in yellow."""
    backdrop = Image.blend(frame, Image.new("RGB", frame.size, (20, 40, 110)), 0.7)
    cut = Image.composite(frame, backdrop, mask)
    hard = mask.point(lambda alpha: 255 if alpha > 127 else 0)
    outline = hard.filter(ImageFilter.FIND_EDGES).filter(ImageFilter.MaxFilter(3))
    return Image.composite(Image.new("RGB", frame.size, (255, 221, 51)), cut, outline)


def stay(address: str, server: subprocess.Popen[bytes]) -> None:
    """Leave the server running until it ends or somebody interrupts."""
    frame = FRAME.relative_to(ROOT)
    say(f"comments behind people, to look at: {address}/")
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
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def say(words: str) -> None:
    """One line of progress."""
    print(f"danmatte: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
