"""What is wanted of a library, and the units that its work falls into."""

import hashlib
import json
import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from danmatte.contract.manifest import Manifest
from danmatte.contract.near_words import did_you_mean
from danmatte.errors import InvalidParameterError
from danmatte.library.judging import Judging
from danmatte.library.storage import StoredFile, name_beside
from danmatte.tracks.batch import TrackOptions
from danmatte.tracks.pipeline import REVISION
from danmatte.tracks.track import Format

PRIVATE = ".danmatte"  # the folder of the target for what is no track
_UNDIVIDED = re.compile(r"\.(av1|h?26[45]|hevc|m2ts?|m2v|m3u8?|mjpe?g|mpd|mpe?g|mpv|mts|obu|ts|vob)$", re.I)
_MOST_PARTS = 1000
_DIGITS = 32  # of a digest in a track's name: 128 bits


@dataclass(frozen=True)
class Library:
    """Which videos, where their tracks go, and how they are made; all that a worker on any machine has to know.

    `source` and `target` are paths or URLs, `suffix` is the tracks' format, and `models` a folder of
    `<name>/<version>/`. Videos of more than `split_bytes` are divided, none if that is 0. A unit that breaks off
    `max_attempts` times is given up; it breaks off, too, where it takes more than `item_timeout_s` seconds, or where
    no frame comes for `stall_timeout_s`. With `judging`, each video gets a verdict on its quality beside its track.
    Raises InvalidParameterError.
    """

    source: str
    target: str
    models: Path
    model: str = ""
    options: TrackOptions = field(default_factory=TrackOptions)
    suffix: str = ".mattes"
    split_bytes: int = 2**28
    max_attempts: int = 3
    item_timeout_s: float = 3600.0
    stall_timeout_s: float = 120.0
    judging: Judging | None = None

    def __post_init__(self) -> None:
        if self.suffix not in Format.registered:
            near = did_you_mean(self.suffix, list(Format.registered))
            raise InvalidParameterError(f"format: unknown {self.suffix!r}{near}")
        if self.max_attempts < 1:
            raise InvalidParameterError(f"max-attempts: expected at least 1, received {self.max_attempts}")
        if self.split_bytes < 0:
            raise InvalidParameterError(f"split-mib: expected at least 0, received {self.split_bytes / 2**20}")
        for name, value in (("item", self.item_timeout_s), ("stall", self.stall_timeout_s)):
            if not value > 0:
                raise InvalidParameterError(f"{name}-timeout-s: expected more than 0, received {value}")

    def describe_work(self, manifest: Manifest) -> str:
        """All that decides the masks of a video, in words: whatever changes them changes these."""
        files, options = manifest.files, asdict(self.options)
        del options["again"]  # whatever else there is, now and later, may change masks
        return json.dumps([REVISION, files.graph.sha256, files.weights.sha256, self.suffix, options], sort_keys=True)

    def name_verdict(self, unit: "Unit") -> str:
        """Where the verdict on a unit's video lies in the target; empty where none is wanted."""
        return self.judging.name_verdict(unit.video, unit.digest) if self.judging else ""


class Unit(NamedTuple):
    """What one worker does at a time: a video, or a part of a long one.

    `size_bytes` and `revision` are the storage's; `digest` names the content by them, and all that decides the masks.
    A long video is divided into `parts` units, of which this is `number`, from 0 on. `attempts` is how often the unit
    broke off before.
    """

    video: str
    size_bytes: int
    revision: str
    digest: str
    number: int = 0
    parts: int = 1
    attempts: int = 0

    @property
    def key(self) -> str:
        """What the unit is called in the target's private folder."""
        return self.digest if self.parts == 1 else f"{self.digest}-{self.number}-{self.parts}"

    @property
    def part(self) -> str:
        """Which part of a long video it is, in words; empty for a whole one."""
        return "" if self.parts == 1 else f"{self.number + 1} of {self.parts}"

    @property
    def share_bytes(self) -> int:
        """The unit's part of the video's bytes."""
        return self.size_bytes // self.parts

    def name_track(self, suffix: str) -> str:
        """Where the video's track lies in the target."""
        return name_beside(self.video, f".{self.digest}{suffix}")


@dataclass(frozen=True)
class Shard:
    """One part of a library that is divided among `count` workers; counted from 0."""

    number: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """`I/N`, I from 0 to N - 1; raises InvalidParameterError."""
        number, slash, count = text.partition("/")
        if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
            raise InvalidParameterError(f"shard: expected I/N with I from 0 to N - 1, received {text!r}")
        return cls(int(number), int(count))

    def holds(self, unit: Unit) -> bool:
        """Whether the unit is this shard's: by its digest, so that new videos move no old ones."""
        return int(hashlib.sha256(unit.key.encode()).hexdigest()[:16], 16) % self.count == self.number


def make_units(file: StoredFile, work: str, split_bytes: int) -> list[Unit]:
    """The units of a video; `work` is what `Library.describe_work` says.

    By its size alone, so that nothing has to be opened. What can't be decoded from the middle isn't divided.
    """
    whole = not split_bytes or _UNDIVIDED.search(file.name)
    count = 1 if whole else min(_MOST_PARTS, max(1, math.ceil(file.size_bytes / split_bytes)))
    words = json.dumps([file.name, file.size_bytes, file.revision, work, *([count] if count > 1 else [])])
    digest = hashlib.sha256(words.encode()).hexdigest()[:_DIGITS]
    return [Unit(*file, digest, number, count) for number in range(count)]
