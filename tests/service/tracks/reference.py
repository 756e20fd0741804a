"""The masks of a drawn clip, as made by this revision of the code.

`python -m tests.service.tracks.reference` stores them.

`test_revision.py` compares them: a change that alters masks must raise `REVISION`, so that libraries make new tracks.
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from danmatte.contract.manifest import parse
from danmatte.engine import FakeEngine, Served
from danmatte.frame import Size
from danmatte.tracks import TrackReader
from danmatte.tracks.batch import TrackJob, TrackOptions, make_track
from danmatte.tracks.pipeline import REVISION
from tests.service.toy import Toy, manifest
from tests.service.tracks.videos import empty, walking, write

FOLDER = Path(__file__).parent / "revisions"
_BOX = Size(72, 128)
PLANS = {
    "usual": TrackOptions(_BOX),
    "raw": TrackOptions(_BOX, raw=True),
    "closer": TrackOptions(_BOX, closer=True),
    "margin": TrackOptions(_BOX, margin=0.03),
    "seldom": TrackOptions(_BOX, fps=8),
}


def draw() -> list[np.ndarray]:
    """Draw a person who walks, stands, is gone after a cut, and walks elsewhere; soft outlines depend on thresholds."""
    walk = walking(24)
    scenes = [*walk, *[walk[-1]] * 16, *empty(8), *walking(16, number=3)]
    return [cv2.GaussianBlur(picture, (9, 9), 3) for picture in scenes]


def find_file(revision: int = REVISION) -> Path:
    """Return the file with the masks of a revision."""
    return FOLDER / f"masks-{revision}.npz"


def make_masks(options: TrackOptions, video: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the masks, (count, H, W) bool, and their facts, (count, 3): time in ms, held, and cut."""
    made = parse(json.dumps(manifest(Toy(rule="stretch"))).encode())
    track = video.with_name("track.mattes")
    make_track(TrackJob(video, track), options, Served(made, FakeEngine(made)))
    with TrackReader(track) as entries:
        found = list(entries)
    facts = [(entry.pts_ms, entry.held, entry.cut) for entry in found]
    return np.array([entry.mask for entry in found]), np.array(facts)


def make_all() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, masks and facts of every plan."""
    with tempfile.TemporaryDirectory() as folder:
        video = write(Path(folder, "clip.mkv"), draw(), codec="ffv1", pixel="gray")
        for name, options in PLANS.items():
            yield (name, *make_masks(options, video))


def store() -> str:
    """Write the file of this revision and remove those of others; return what was done, as text."""
    file = find_file()
    if file.exists():
        return f"{file} exists: raise REVISION in danmatte/tracks/pipeline.py first"
    arrays: dict[str, np.ndarray] = {}
    for name, masks, facts in make_all():
        arrays |= {f"{name}-masks": np.packbits(masks, axis=None), f"{name}-facts": facts}
        arrays[f"{name}-shape"] = np.array(masks.shape)
    FOLDER.mkdir(exist_ok=True)
    for other in FOLDER.glob("masks-*.npz"):
        other.unlink()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return f"{file}: {file.stat().st_size} bytes"


def load(name: str, file: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the stored masks and facts of a plan."""
    with np.load(file) as arrays:
        shape = tuple(arrays[f"{name}-shape"])
        masks = np.unpackbits(arrays[f"{name}-masks"], count=int(np.prod(shape))).reshape(shape)
        return masks.astype(bool), arrays[f"{name}-facts"]


if __name__ == "__main__":
    sys.exit(print(store()))
