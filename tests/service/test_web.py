"""The player's modules in Node, on tracks that the service writes."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from service.frame import Size
from service.tracks import Entry, Header, Polarity, TrackWriter

HERE = Path(__file__).parent / "web"
SIZE = Size(180, 320)


def node(*names: str, **environment: str) -> None:
    """Runs test files; a failure shows what Node said."""
    program = shutil.which("node")
    if not program:
        pytest.skip("needs Node")
    paths = [str(HERE / name) for name in names]
    run = subprocess.run(
        [program, "--test", *paths], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("name", ["outline", "placement", "timeline", "cuts", "attachment", "live"])
def test_parts_of_the_player(name: str) -> None:
    node(f"{name}.test.js")


def entry(number: int) -> Entry:
    """A box that wanders, 25 frames a second; a cut at number 200, and every third mask held."""
    mask = np.zeros(SIZE, np.bool_)
    left = 10 + number % 150
    mask[40:150, left : left + 60] = True
    return Entry(number * 40, mask, True, number == 200, number % 3 == 2, float(mask.mean()))


@pytest.mark.parametrize(
    ("suffix", "polarity"), [(".mattes", "person"), (".mattes", "background"), (".webmask", "background")]
)
def test_tracks_are_read_as_they_were_written(tmp_path: Path, suffix: str, polarity: Polarity) -> None:
    path = tmp_path / f"film{suffix}"
    with TrackWriter(path, Header(SIZE, polarity, "toy" if suffix == ".mattes" else "", 0)) as writer:
        for number in range(600):
            writer.add(entry(number))
    known = suffix == ".mattes"  # the other one knows no flags
    expected = [
        {"ms": ms, "pts": (ms + 8) // 40 * 40, "coverage": entry(0).coverage}
        | ({"cut": (ms + 8) // 40 == 200, "held": (ms + 8) // 40 % 3 == 2} if known else {})
        for ms in (0, 40, 7990, 8000, 8001, 12_345, 23_950)
    ]
    node("tracks.test.js", TRACKS=json.dumps([{"path": str(path), "expected": expected}]))
