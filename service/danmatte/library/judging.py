"""Which model judges the quality of a library's videos, and what its verdicts are called."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from danmatte.library.storage import name_beside
from danmatte.models.standalone import find_version
from danmatte.quality.assess import AssessOptions
from danmatte.quality.companion import SUFFIX
from danmatte.quality.judge import MODEL

REVISION = 1  # of everything between a video and its verdict: a change of them is another number here
_DIGITS = 32  # of a digest in a verdict's name: 128 bits


@dataclass(frozen=True)
class Judging:
    """The version of the model that judges, and in `work` all that decides a verdict beside the video's track."""

    version: int
    work: str

    @classmethod
    def choose(cls, models: Path) -> "Judging":
        """By the newest version in this folder. Raises UnknownModelError and ModelError."""
        manifest = find_version(models, MODEL)
        digests = manifest.files.graph.sha256, manifest.files.weights.sha256
        return cls(manifest.version, json.dumps([REVISION, *digests, AssessOptions().fps]))

    def digest(self, track: str) -> str:
        """The digest in a verdict's name, by that of its track: people are counted in the track's masks."""
        return hashlib.sha256(json.dumps([track, self.work]).encode()).hexdigest()[:_DIGITS]

    def name_verdict(self, video: str, track: str) -> str:
        """Where the verdict on a video lies in the target; `track` is its track's digest."""
        return name_beside(video, f".{self.digest(track)}{SUFFIX}")
