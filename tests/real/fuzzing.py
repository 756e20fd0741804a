"""Shared code of the fuzz tests: choice of inputs, the attacked server, and storage of outcomes.

DANMATTE_FUZZ_INPUTS is the number of inputs of each kind; DANMATTE_FUZZ_FIRST is the number of the first, so that a
failure can be repeated by its number and a second run uses other inputs. DANMATTE_FUZZ_PARTS is a file to which each
passed test appends a line of JSON; `scripts/bench service --part fuzz` adds these up.
"""

import asyncio
import json
import os
import random
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from aiohttp import ClientSession

from danmatte.settings import to_flag
from tests.service import pictures
from tests.service.serving import read_environment

INPUTS = int(os.environ.get("DANMATTE_FUZZ_INPUTS", "2000"))
FIRST = int(os.environ.get("DANMATTE_FUZZ_FIRST", "0"))
PARTS = os.environ.get("DANMATTE_FUZZ_PARTS", "")
SAMPLES = Path(__file__).parents[2] / "workbench/danmatte_workbench/samples"
MOST_PIXELS = 2**20
SLOW_S = 60.0  # on a busy machine; longer waits count as a hang
_LOGGED = re.compile(r"(DEBUG|INFO|WARNING|ERROR) danmatte[.\w]*: ")
_ROOT = Path(__file__).parents[2]


@contextmanager
def attack_server(models: Path, folder: Path, **settings: object) -> Iterator[str]:
    """Run a server in a separate process; yield its address. Fails unless it exits with 0 and only logs as usual."""
    flags = [f"{to_flag(name)}={value}" for name, value in ({"models": models, "port": 0} | settings).items()]
    errors = folder / "errors"
    with (
        errors.open("wb") as file,
        subprocess.Popen(
            [sys.executable, "-m", "danmatte", "serve", *flags],
            cwd=_ROOT,
            env=read_environment(),
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        ) as server,
    ):
        try:
            yield server.stdout.readline().split()[-1]
            assert server.poll() is None, errors.read_text()[-2000:]
            server.send_signal(signal.SIGTERM)
            assert server.wait(SLOW_S) == 0
        finally:
            server.kill()
    check_errors(errors)


def check_errors(errors: Path) -> None:
    """Assert that an error stream contains only lines of the log."""
    strange = [line for line in errors.read_text().splitlines() if not _LOGGED.match(line)]
    assert not strange, strange[:20]


async def send_all(send: Callable[[int], Awaitable[object]], *, at_once: int) -> Counter[object]:
    """Send every input with ``at_once`` requests in parallel; return the counts of outcomes."""
    outcomes: Counter[object] = Counter()
    numbers = iter(range(FIRST, FIRST + INPUTS))

    async def go_on() -> None:
        for number in numbers:
            outcomes[await send(number)] += 1

    async with asyncio.TaskGroup() as callers:
        for _ in range(at_once):
            callers.create_task(go_on())
    return outcomes


def note_part(kind: str, outcomes: Counter) -> None:
    """Print the outcomes of a kind of inputs, and store them if DANMATTE_FUZZ_PARTS is set."""
    counts = {str(outcome): count for outcome, count in sorted(outcomes.items(), key=str)}
    print(f"\n{outcomes.total()} {kind}: {counts}")
    if PARTS:
        line = {"kind": kind, "first": FIRST, "reserved": INPUTS, "inputs": outcomes.total(), "outcomes": counts}
        with Path(PARTS).open("a") as file:
            file.write(json.dumps(line) + "\n")


def corpus() -> list[bytes]:
    """Return small real pictures in every format, with several variants of each."""
    found = []
    for path in sorted(SAMPLES.glob("*.jpg"))[:4]:
        small = cv2.resize(cv2.imread(str(path)), (96, 64))
        found += [encoded(".jpg", small), encoded(".jpg", small, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)]
        found += [encoded(".png", small), encoded(".png", small[:, :, 0])]
        found += [encoded(".webp", small, cv2.IMWRITE_WEBP_QUALITY, quality) for quality in (50, 101)]
        found += [pictures.turned(6, small, kind) for kind in ("JPEG", "PNG", "WEBP")]
    return found


def encoded(extension: str, pixels: np.ndarray, *options: int) -> bytes:
    """Return the pixels as a file."""
    return cv2.imencode(extension, pixels, options)[1].tobytes()


async def still_serves(url: str, jpeg: bytes) -> bool:
    """Return whether the server still responds to a valid post."""
    async with ClientSession() as session, session.post(f"{url}/v1/mattes", data=jpeg) as answer:
        return answer.status == 200


def words(rng: random.Random) -> str:
    """Return a few unusual characters."""
    return "".join(rng.choice("aZ0-._~/%:;&=+ \t\"'<>{}[]\\äß漢\u202e") for _ in range(rng.randint(0, 12)))
