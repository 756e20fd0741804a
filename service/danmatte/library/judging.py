"""The choice of the model that judges a library's videos, and the names of its verdicts."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from danmatte.library.storage import name_beside
from danmatte.models.standalone import find_version
from danmatte.quality.assess import AssessOptions
from danmatte.quality.companion import SUFFIX
from danmatte.quality.judge import MODEL

REVISION = 2  # to be raised by every change that alters verdicts, anywhere between a video and its verdict
_DIGITS = 32  # of a digest in a verdict's name: 128 bits


@dataclass(frozen=True)
class Judging:
    """The version of the model that judges, and in `work` all that determines a verdict besides the video's track."""

    version: int
    work: str

    @classmethod
    def choose(cls, models: Path) -> "Judging":
        """Choose the newest version in this folder. Raises UnknownModelError and ModelError."""
        manifest = find_version(models, MODEL)
        digests = manifest.files.graph.sha256, manifest.files.weights.sha256
        return cls(manifest.version, json.dumps([REVISION, *digests, AssessOptions().fps]))

    def digest(self, track: str) -> str:
        """Return the digest in a verdict's name; it depends on the track's digest because masks show the people."""
        return hashlib.sha256(json.dumps([track, self.work]).encode()).hexdigest()[:_DIGITS]

    def name_verdict(self, video: str, track: str) -> str:
        """Return the name of a video's verdict in the target; `track` is its track's digest."""
        return name_beside(video, f".{self.digest(track)}{SUFFIX}")
