"""The verdict on a drawn clip, as made by this revision of the code.

`python -m tests.service.library.reference` stores it.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from danmatte.library.judging import REVISION
from danmatte.quality.assess import AssessOptions, assess_video
from danmatte.quality.judge import Judge
from tests.service.ports import publish_meaning
from tests.service.tracks.reference import draw
from tests.service.tracks.videos import write

FOLDER = Path(__file__).parent / "revisions"


def find_file(revision: int = REVISION) -> Path:
    """Return the file with the verdict of a revision."""
    return FOLDER / f"verdict-{revision}.json"


def make_verdict() -> dict[str, Any]:
    """Return the verdict without the file's place and the time."""
    with tempfile.TemporaryDirectory() as folder:
        publish_meaning(Path(folder, "models"), "score", name="quality")
        video = write(Path(folder, "clip.mkv"), draw(), codec="ffv1", pixel="gray")
        found = msgspec.to_builtins(assess_video(video, AssessOptions(), Judge.open(Path(folder, "models"))))
    del found["video"], found["seconds"]
    return dict(found)


def store() -> str:
    """Write the file of this revision and remove those of others; return what was done, as text."""
    file = find_file()
    if file.exists():
        return f"{file} exists: raise REVISION in danmatte/library/judging.py first"
    FOLDER.mkdir(exist_ok=True)
    for other in FOLDER.glob("verdict-*.json"):
        other.unlink()
    file.write_text(json.dumps(make_verdict(), indent=1) + "\n")
    return f"{file}: {file.stat().st_size} bytes"


if __name__ == "__main__":
    sys.exit(print(store()))
