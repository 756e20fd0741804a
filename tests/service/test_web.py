"""The player's modules in Node, on tracks that the service writes."""

import json
import os
import random
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from danmatte.errors import TrackError
from danmatte.frame import Size
from danmatte.tracks import Entry, Film, Polarity, TrackHeader, TrackReader, TrackWriter

HERE = Path(__file__).parent / "web"
SIZE = Size(180, 320)


def run_node(name: str, **environment: str) -> None:
    """Run a test file; a failure shows what Node printed."""
    program = shutil.which("node")
    if not program:
        pytest.skip("needs Node")
    command = [program, "--test", str(HERE / name)]
    run = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search(r"^# pass [1-9]", run.stdout, re.MULTILINE), f"{name} ran no test: {run.stdout}"


@pytest.mark.parametrize("name", sorted(path.name for path in HERE.glob("*.test.js")))
def test_javascript_tests_pass_in_node(name: str) -> None:
    run_node(name)


def make_entry(number: int) -> Entry:
    """Return a mask of a moving box, 25 per second; there is a cut at number 200, and every third mask is held."""
    mask = np.zeros(SIZE, np.bool_)
    left = 10 + number % 150
    mask[40:150, left : left + 60] = True
    return Entry(number * 40, mask, True, number == 200, number % 3 == 2, float(mask.mean()))


@pytest.mark.parametrize(
    ("suffix", "polarity"),
    [
        (".mattes", "person"),
        (".mattes", "background"),
        (".vtt", "person"),
        (".vtt", "background"),
        (".webmask", "background"),
    ],
)
def test_javascript_reads_tracks_as_python_wrote_them(tmp_path: Path, suffix: str, polarity: Polarity) -> None:
    path = tmp_path / f"film{suffix}"
    with TrackWriter(path, TrackHeader(SIZE, polarity, "" if suffix == ".webmask" else "toy", 0)) as writer:
        for number in range(600):
            writer.add(make_entry(number))
        if polarity == "person":
            writer.describe_film(Film("0" * 64, "media", 320, 180, (1, 1), 0, 24_000, 0, 0))
    known = suffix != ".webmask"  # which stores no flags
    expected = [
        {"ms": ms, "pts": (ms + 8) // 40 * 40, "coverage": make_entry(0).coverage}
        | ({"cut": (ms + 8) // 40 == 200, "held": (ms + 8) // 40 % 3 == 2} if known else {})
        for ms in (0, 40, 7990, 8000, 8001, 12_345, 23_950)
    ]
    run_node("tracks.test.js", TRACKS=json.dumps([{"path": str(path), "expected": expected}]))


def test_both_readers_reject_the_same_damaged_tracks(tmp_path: Path) -> None:
    whole = tmp_path / "whole.mattes"
    with TrackWriter(whole, TrackHeader(Size(24, 33), "person", "toy", 1)) as writer:
        for number in range(12):
            mask = np.zeros((24, 33), np.bool_)
            mask[4 : 12 + number % 3, 3 + number : 20] = number != 5
            mask[16:22, 8 : 24 - number // 4] = True
            writer.add(Entry(number * 40, mask, coverage=float(mask.mean())))
    chance = random.Random(5)
    files = [tmp_path / f"{number}.mattes" for number in range(200)]
    for number, path in enumerate(files):
        path.write_bytes((damage_head if number % 3 == 0 else damage_records)(whole.read_bytes(), chance))
    damaged = [{"path": str(path), "good": is_readable(path), "startMs": read_start_ms(path)} for path in files]
    assert 20 < sum(not one["good"] for one in damaged) < 195
    run_node("tracks.test.js", DAMAGED=json.dumps(damaged))


def damage_head(track: bytes, chance: random.Random) -> bytes:
    """Return the track with a different byte in its head, name or index."""
    damaged = bytearray(track)
    damaged[chance.randrange(4, 43)] = chance.choice((0, 1, 2, 127, 128, 255))
    return bytes(damaged)


def damage_records(track: bytes, chance: random.Random) -> bytes:
    """Return the track of one segment with a different byte in it, or without its end."""
    damaged = bytearray(zlib.decompress(track[43:]))
    if chance.random() < 0.2:
        del damaged[chance.randrange(1, len(damaged)) :]
    else:
        damaged[chance.randrange(len(damaged))] = chance.choice(
            (0, 1, 8, 16, 127, 128, 243, 255, chance.randrange(256))
        )
    packed = zlib.compress(damaged)
    return track[:39] + len(packed).to_bytes(4, "big") + packed


def read_start_ms(path: Path) -> int:
    """Return the first mask's time; 0 if the Python reader rejects the index."""
    try:
        with TrackReader(path) as reader:
            return reader.segments[0].start_ms
    except TrackError:
        return 0


def is_readable(path: Path) -> bool:
    """Return whether the Python reader accepts the track, to the last mask."""
    try:
        with TrackReader(path) as reader:
            return len(list(reader)) > 0
    except TrackError:
        return False
